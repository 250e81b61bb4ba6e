// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"chive/internal/memnet"
)

// sink is a writer that several goroutines use.
type sink struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// TestNothingOfAUserIsInLogsOrErrors plants names, addresses, text and keys, lets
// things work and fail at log level debug, and looks for them, raw and encoded, in
// every line and every error. (LOG-1, LOG-5)
func TestNothingOfAUserIsInLogsOrErrors(t *testing.T) {
	const name, text = "canary-host.test", "canary-text-of-a-request"
	var out sink
	var errs []string
	canaries := map[string][]byte{"name": []byte(name), "target": []byte(TargetName), "text": []byte(text)}
	c := oneExit
	c.Log = zerolog.New(&out).Level(zerolog.DebugLevel)
	inMemory(t, c, 5*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl := n.Clients[0]
		canaries["client address"] = []byte(fab.ClientAddr(0).String())
		canaries["destination"] = []byte("10.20.30.40")
		for i, r := range n.Relays {
			rid, onion := r.RID(), r.Founder.Onion
			canaries[fmt.Sprintf("relay %d", i)] = rid[:]
			canaries[fmt.Sprintf("onion key %d", i)] = onion[:]
			canaries[fmt.Sprintf("address of relay %d", i)] = []byte(fab.RelayAddr(i).String())
		}
		note := func(err error) {
			if err != nil {
				errs = append(errs, err.Error())
			}
		}
		if _, err := get(t.Context(), cl, text, "/bytes/1000?"+text); err != nil {
			t.Fatal(err)
		}
		_, err := cl.Dial(t.Context(), text, name, 80, []byte(text))
		note(err)
		_, err = cl.Dial(t.Context(), text, "10.20.30.40", 80, nil)
		note(err)
		_, err = cl.Dial(t.Context(), text, TargetName, 81, nil)
		note(err)
		_, _, err = cl.Resolve(t.Context(), text, name)
		note(err)
		for i := range n.Relays {
			m.Kill(fab.RelayAddr(i))
		}
		_, err = cl.Dial(t.Context(), text, name, 80, nil)
		note(err)
	})
	if len(errs) != 5 {
		t.Errorf("%d of 5 failures failed", len(errs))
	}
	all := append([]byte(nil), out.buf.Bytes()...)
	if len(all) == 0 {
		t.Error("nothing was logged at debug: the test sees nothing")
	}
	for _, e := range errs {
		all = append(append(all, e...), '\n')
	}
	for what, c := range canaries {
		for as, form := range map[string]string{
			"raw": string(c), "hex": hex.EncodeToString(c),
			"base64": base64.RawStdEncoding.EncodeToString(c), "base64url": base64.RawURLEncoding.EncodeToString(c),
			"base32": base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(c),
		} {
			if bytes.Contains(bytes.ToLower(all), bytes.ToLower([]byte(form))) {
				t.Errorf("%s appears (%s) in:\n%s", what, as, all)
			}
		}
	}
}
