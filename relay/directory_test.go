// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/link"
)

// asker is a directory stream from a client's side: requests one after another, and
// what becomes of the answers.
type asker struct {
	requests io.Reader
	hold     chan struct{} // if not nil: each write waits for it
	busy     *atomic.Int64 // writers at once, and the most of them
	most     *atomic.Int64

	mu  sync.Mutex
	buf bytes.Buffer
}

// got returns what was written.
func (a *asker) got() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Clone(a.buf.Bytes())
}

func (a *asker) Read(p []byte) (int, error) { return a.requests.Read(p) }

func (a *asker) Write(p []byte) (int, error) {
	if a.hold != nil {
		n := a.busy.Add(1)
		a.most.Store(max(a.most.Load(), n))
		<-a.hold
		a.busy.Add(-1)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.Write(p)
}

// syncRequest asks for everything.
func syncRequest(t *testing.T) []byte {
	t.Helper()
	body, err := (&dirsync.Request{Code: dirsync.CodeSync}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return dirsync.Frame(body)
}

// isBusy reports an answer that is a refusal for want of time.
func isBusy(got []byte) bool { return bytes.Equal(got, dirsync.Busy()) }

// TestClientsShareWhatTheyMayHave: four requests at once, others wait for some seconds
// and are told "busy", streams beyond sixteen at once; a mebibyte a second. Spec: B23 of
// the threat model.
func TestClientsShareWhatTheyMayHave(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		ration := newRation()
		hold := make(chan struct{})
		var busy, most atomic.Int64
		var all []*asker
		done := make(chan struct{}, 100)
		serve := func(a *asker) {
			all = append(all, a)
			go func() {
				w.relay.serveDirectory(t.Context(), a, ration)
				done <- struct{}{}
			}()
			synctest.Wait()
		}
		for range maxAnswering {
			serve(&asker{requests: bytes.NewReader(syncRequest(t)), hold: hold, busy: &busy, most: &most})
		}
		waits := &asker{requests: bytes.NewReader(syncRequest(t))}
		serve(waits)
		if busy.Load() != maxAnswering || len(waits.got()) != 0 {
			t.Fatalf("%d are answered at once, the next has %d bytes", busy.Load(), len(waits.got()))
		}
		idle, idleEnd := io.Pipe()
		for len(all) < maxDirectoryPerEnd {
			serve(&asker{requests: idle})
		}
		crowded := &asker{requests: bytes.NewReader(append(syncRequest(t), syncRequest(t)...))}
		serve(crowded)
		if !isBusy(crowded.got()) {
			t.Error("a stream too many is not told so, once")
		}
		pass(answerPatience)
		if !isBusy(waits.got()) {
			t.Error("who waits too long is not told")
		}
		close(hold)
		_ = idleEnd.Close()
		for range all {
			<-done
		}
		if most.Load() != maxAnswering || len(ration.streams) != 0 || len(ration.turns) != 0 || w.relay.answering.Load() != 0 {
			t.Errorf("%d at once; left over: %d streams, %d turns, %d bytes", most.Load(), len(ration.streams), len(ration.turns), w.relay.answering.Load())
		}

		// 8 MiB of answers take seconds.
		one := &asker{requests: bytes.NewReader(syncRequest(t))}
		serve(one)
		<-done
		n := 8<<20/len(one.got()) + 1
		var many []byte
		for range min(n, maxRequests) {
			many = append(many, syncRequest(t)...)
		}
		began := time.Now()
		size := 0
		for range (n + maxRequests - 1) / maxRequests {
			a := &asker{requests: bytes.NewReader(many)}
			serve(a)
			<-done
			size += len(a.got())
		}
		if took, least := time.Since(began), time.Duration(size-answerBytes)*time.Second/answerBytes; took < least-time.Second {
			t.Errorf("%d bytes took %v, want %v", size, took, least)
		}
	})
}

// TestAnswersOfAllClientsTogetherAreBounded in memory.
func TestAnswersOfAllClientsTogetherAreBounded(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.relay.answering.Store(maxAnswerBytes)
		a := &asker{requests: bytes.NewReader(syncRequest(t))}
		// What would answer is not there: nothing is worked out for who hears "busy".
		serve := w.relay.serve.Swap(nil)
		w.relay.serveDirectory(t.Context(), a, newRation())
		w.relay.serve.Store(serve)
		if !isBusy(a.got()) || w.relay.answering.Load() != maxAnswerBytes {
			t.Errorf("answered; %d bytes are counted", w.relay.answering.Load())
		}
		w.relay.answering.Store(0)
	})
}

// TestEvidenceFromAClientReachesAll: the machine checks it, spreads it, and votes on it.
func TestEvidenceFromAClientReachesAll(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		liar := w.all[3]
		nid := w.doc.NetworkID()
		onion, err := liar.ring.Onion(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		e := forgery(t, nid, liar.identity, &onion, liar.ring.VRFPublic())
		host := w.net.Host(netip.AddrFrom4([4]byte{13, 0, 0, 1}))
		l, err := link.Dial(context.Background(), host, townAddr(0), link.Config{NetworkID: nid, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		st, err := l.Open(link.StreamDirectory)
		if err != nil {
			t.Fatal(err)
		}
		if err := dirsync.SendEvidence(st, e); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		for _, c := range w.all {
			reports := c.Status().Directory.Reports
			if len(reports) != 1 || reports[0].What != reportWords[directory.ReportEvidence] || reports[0].Relay != liar.RID() || reports[0].Count != 1 {
				t.Errorf("relay %d reports %v", c.n, reports)
			}
		}
		w.atEnd(4)
		w.agree(w.all...)
		if r, _ := w.all[0].View().Table().Relay(liar.RID()); r.Flags&snapshot.FlagProbation == 0 {
			t.Error("it is not on probation")
		}
	})
}

// TestWhoDoesNotReadHoldsNothingForLong, neither over a link nor over a circuit; the time
// without progress counts, not that of an answer.
func TestWhoDoesNotReadHoldsNothingForLong(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		l := w.client()
		var many []byte
		for range maxRequests {
			many = append(many, syncRequest(t)...)
		}
		st, err := l.Open(link.StreamDirectory)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = st.Write(many) }()
		pass(answerStall / 2)
		if w.relay.answering.Load() == 0 {
			t.Skip("all of it fits the window")
		}
		pass(answerStall)
		if n := w.relay.answering.Load(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
		_ = st.Close()
		if l.Err() != nil {
			t.Error("the link was ended with it")
		}
	})
	slow := &slowly{steps: []int{3, 1, 0}}
	if err := deliver(slow, make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) || slow.took != 4 || slow.deadlines != 3 {
		t.Errorf("%v after %d bytes and %d deadlines", err, slow.took, slow.deadlines)
	}
	slow = &slowly{steps: []int{3, 1, 6}}
	if err := deliver(slow, make([]byte, 10)); err != nil || slow.took != 10 {
		t.Errorf("%v after %d bytes", err, slow.took)
	}
}

// slowly takes so many bytes before each deadline.
type slowly struct {
	steps           []int
	took, deadlines int
}

func (s *slowly) SetWriteDeadline(time.Time) error { s.deadlines++; return nil }

func (s *slowly) Write(p []byte) (int, error) {
	n := s.steps[0]
	s.steps = s.steps[1:]
	if s.took += n; n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// TestALinkHasAShare of what all answers may hold, and of the evidence that is taken, its
// circuits included.
func TestALinkHasAShare(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		greedy := newRation()
		greedy.link.answering.Store(maxLinkAnswerBytes)
		for name, c := range map[string]struct {
			of   *ration
			busy bool
		}{"link": {greedy, true}, "circuit": {greedy.circuit(), true}, "other link": {newRation(), false}} {
			a := &asker{requests: bytes.NewReader(syncRequest(t))}
			w.relay.serveDirectory(t.Context(), a, c.of)
			if isBusy(a.got()) != c.busy {
				t.Errorf("%s: busy is %v", name, !c.busy)
			}
		}
		serve := w.relay.serve.Swap(nil)
		w.relay.serveDirectory(t.Context(), &asker{requests: bytes.NewReader(syncRequest(t))}, greedy)
		w.relay.serve.Store(serve)
		if n := greedy.link.answering.Load(); n != maxLinkAnswerBytes || w.relay.answering.Load() != 0 {
			t.Errorf("%d bytes of the link are counted, %d in all", n, w.relay.answering.Load())
		}

		onion, err := w.rings[1].Onion(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		e := forgery(t, w.doc.NetworkID(), w.keys[1], &onion, w.rings[1].VRFPublic())
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		body, err := (&dirsync.Request{Code: dirsync.CodeEvidence, Evidence: data}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		brings := func(of *ration) (busy bool) {
			a := &asker{requests: bytes.NewReader(dirsync.Frame(body))}
			w.relay.serveDirectory(t.Context(), a, of)
			return isBusy(a.got())
		}
		one := newRation()
		for n := range linkClaimsAtOnce {
			if brings(one) {
				t.Fatalf("evidence %d was not taken", n)
			}
		}
		if !brings(one) || !brings(one.circuit()) {
			t.Error("who brings too much is not told")
		}
		if brings(newRation()) {
			t.Error("one link has used up what others may bring")
		}
	})
}

// TestALinkHasOneTurnToHaveAnswersWorkedOut, however many circuits it has: they wait for
// each other and hear "busy" when that takes too long; others do not.
func TestALinkHasOneTurnToHaveAnswersWorkedOut(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		one := newRation()
		one.link.computing <- struct{}{} // an answer takes long
		done := make(chan struct{}, 3)
		ask := func(of *ration) *asker {
			a := &asker{requests: bytes.NewReader(syncRequest(t))}
			go func() {
				w.relay.serveDirectory(t.Context(), a, of)
				done <- struct{}{}
			}()
			synctest.Wait()
			return a
		}
		late := ask(one.circuit())
		pass(answerPatience - time.Second)
		waits := ask(one.circuit())
		if len(late.got()) != 0 || len(waits.got()) != 0 {
			t.Error("a circuit has a turn of its own")
		}
		if other := ask(newRation()); len(other.got()) == 0 || isBusy(other.got()) {
			t.Error("another link waits for this one")
		}
		pass(2 * time.Second)
		if !isBusy(late.got()) {
			t.Error("who waits too long is not told")
		}
		<-one.link.computing
		for range 3 {
			<-done
		}
		if len(waits.got()) == 0 || isBusy(waits.got()) {
			t.Error("who has waited is not answered")
		}
		if len(one.link.computing) != 0 {
			t.Error("a turn is left over")
		}
	})
}

// forgery is evidence against a relay: two descriptors of one number.
func forgery(t *testing.T, nid [32]byte, identity ed25519.PrivateKey, onion *OnionKeys, vrf [32]byte) *record.Evidence {
	t.Helper()
	public := identity.Public().(ed25519.PublicKey)
	var signed [2][]byte
	for i := range signed {
		a := about(townAddr(3))
		a.Nickname = []string{"one", "other"}[i]
		now := time.Now().Truncate(time.Second)
		d := a.describe(public, directory.Publish{Seq: 1, Published: now, Expires: now.Add(time.Minute)}, onion, vrf, nil)
		var err error
		if signed[i], err = record.SealDescriptor(d, nid, identity, nil); err != nil {
			t.Fatal(err)
		}
	}
	e, err := record.NewEvidence(record.ClassDescriptor, public, signed[0], signed[1])
	if err != nil {
		t.Fatal(err)
	}
	return e
}
