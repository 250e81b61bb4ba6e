// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"chive/internal/memnet"
	"chive/internal/testutil"
)

// tally is an account.
type tally struct{ n atomic.Int64 }

func (t *tally) Add(n int64) { t.n.Add(n) }

// TestNothingIsHeldForStreamsThatNobodyAccepted: a peer that opens streams, fills them and
// goes, or takes them back, before the owner has accepted them leaves nothing in the
// account. The account is the relay's: what stays there is taken from everybody for ever.
func TestNothingIsHeldForStreamsThatNobodyAccepted(t *testing.T) {
	fill := func(t *testing.T, near *Link) (streams []*Stream) {
		for range 16 {
			s, err := near.Open(StreamDirectory)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(make([]byte, 20_000)); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		synctest.Wait()
		return streams
	}
	testutil.Bubble(t, func(t *testing.T) {
		account := new(tally)
		cfg := clientConfig()
		cfg.Account = account
		n := memnet.New(memnet.Config{})
		near, far := links(t, n, cfg)
		base := account.n.Load()
		for _, s := range fill(t, near) {
			near.wire.sendReset(s.id)
		}
		synctest.Wait()
		if open, _ := far.Streams(); open != 0 {
			t.Fatalf("%d streams are open", open)
		}
		if n := account.n.Load() - base; n > 1<<20/4 {
			t.Errorf("%d bytes of streams that were reset stay in the account", n)
		}
		near, far = links(t, n, cfg)
		base = account.n.Load()
		fill(t, near)
		if n := account.n.Load() - base; n < 16*2*20_000 {
			t.Fatalf("%d bytes are counted while they are held", n)
		}
		near.Close()
		<-far.Done()
		synctest.Wait()
		if n := account.n.Load() - base; n > 0 {
			t.Errorf("%d bytes of a link that has ended stay in the account", n)
		}
	})
}
