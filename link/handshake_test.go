// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"chive/internal/memnet"
	"chive/internal/testutil"
)

// run carries a handshake from one state to the other and returns the messages.
func run(init, resp *handshake) (messages [][]byte, err error) {
	m1, err := init.start()
	if err != nil {
		return nil, err
	}
	m2, err := resp.answer(m1[HelloSize:])
	if err != nil {
		return nil, err
	}
	m3, err := init.finish(m2)
	if err != nil {
		return nil, err
	}
	return [][]byte{m1, m2, m3}, resp.accept(m3)
}

func states(t testing.TB, suite Suite, a, b Config) (init, resp *handshake) {
	t.Helper()
	a, b = a.withDefaults(), b.withDefaults()
	init, err := newHandshake(&a, suite, true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	resp, err = newHandshake(&b, suite, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return init, resp
}

// Spec: protocol §1 (LINK-1)
func TestHandshakeAgreesAndLooksTheSameForClientAndRelay(t *testing.T) {
	dialler := testIdentity(t, 1)
	for _, suite := range []Suite{AESGCM, ChaChaPoly} {
		for _, id := range []*Identity{nil, dialler} {
			init, resp := states(t, suite, relayConfig(id), relayConfig(testIdentity(t, 2)))
			m, err := run(init, resp)
			if err != nil {
				t.Fatal(suite, err)
			}
			for i, want := range []int{HelloSize + 1232, 1442, 322} {
				if len(m[i]) != want {
					t.Errorf("suite %d, message %d: %d bytes, want %d", suite, i+1, len(m[i]), want)
				}
			}
			if init.hash != resp.hash {
				t.Error("hashes differ")
			}
			if resp.peer == nil != (id == nil) || resp.peer != nil && !resp.peer.Identity.Equal(dialler.Public()) {
				t.Error("the responder sees another peer")
			}
			if !init.peer.Identity.Equal(testKey(2).Public()) {
				t.Error("the initiator sees another relay")
			}
			rec := make([]byte, RecordSize)
			copy(rec, "hello")
			if err := init.send.seal(rec, 5, 0); err != nil {
				t.Fatal(err)
			}
			if got, err := resp.recv.open(rec); err != nil || string(got) != "hello" {
				t.Error("record keys differ:", err)
			}
		}
	}
	if Message1Size != 1232 || Message2Size != 1442 || Message3Size != 322 {
		t.Error("constants differ from the specification")
	}
	if 10*Message2Size > 12*(HelloSize+Message1Size) {
		t.Error("the responder sends more than 1.2 times what it received")
	}
	if HelloSize+Message1Size+Message3Size > 4096 {
		t.Error("more than 4 KiB are read from a stranger")
	}
}

// Spec: protocol §1 (LINK-3)
func TestAnEmptyPSKIsNeverMixed(t *testing.T) {
	init, resp := states(t, AESGCM, clientConfig(), relayConfig(testIdentity(t, 2)))
	m1, err := init.start()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.answer(m1[HelloSize:]); err != nil {
		t.Fatal(err)
	}
	resp.state.psk = false // as if nobody had set one
	if err := resp.accept(make([]byte, Message3Size)); err != ErrHandshake {
		t.Error("responder:", err)
	}
	if resp.state.hs.MessageIndex() != 2 {
		t.Error("message 3 was processed without a psk")
	}

	init, resp = states(t, AESGCM, clientConfig(), relayConfig(testIdentity(t, 2)))
	m1, _ = init.start()
	m2, err := resp.answer(m1[HelloSize:])
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := init.state.read(m2); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := init.state.write(nil); err != ErrHandshake {
		t.Error("initiator:", err)
	}
}

// Spec: protocol §1 (LINK-4, LINK-5)
func TestHandshakeRefusals(t *testing.T) {
	now := time.Now()
	certified := func(validity time.Duration, nid [32]byte, other bool) *Identity {
		id := testIdentity(t, 2)
		key := [32]byte(id.key.PublicKey().Bytes())
		if other {
			key[5]++
		}
		cert, err := SignCertificate(testKey(2), nid, key, now.Add(validity))
		if err != nil {
			t.Fatal(err)
		}
		id.certificate = cert
		return id
	}
	errVerify := errors.New("not this one")
	for _, c := range []struct {
		name string
		init Config
		resp Config
		want error
	}{
		{"other network", Config{NetworkID: [32]byte{9}}, relayConfig(testIdentity(t, 2)), ErrHandshake},
		{"own identity", relayConfig(testIdentity(t, 2)), relayConfig(testIdentity(t, 2)), ErrSelf},
		{"verify", Config{NetworkID: testNetwork, Verify: func(ed25519.PublicKey) error { return errVerify }},
			relayConfig(testIdentity(t, 2)), errVerify},
		{"certificate of another network", clientConfig(), relayConfig(certified(time.Hour, [32]byte{9}, false)), ErrHandshake},
		{"certificate of another key", clientConfig(), relayConfig(certified(time.Hour, testNetwork, true)), ErrHandshake},
		{"expired", clientConfig(), relayConfig(certified(-time.Hour-time.Second, testNetwork, false)), ErrCertificateTime},
		{"valid for too long", clientConfig(), relayConfig(certified(49*time.Hour+2*time.Second, testNetwork, false)), ErrCertificateTime},
		{"expired within the clock's error", clientConfig(), relayConfig(certified(-58*time.Minute, testNetwork, false)), nil},
		{"clock not trusted", Config{NetworkID: testNetwork, ClockSkew: 20000 * time.Hour},
			relayConfig(certified(-10000*time.Hour, testNetwork, false)), nil},
		{"dialler expired", relayConfig(func() *Identity {
			id := certified(-2*time.Hour, testNetwork, false)
			return id
		}()), relayConfig(testIdentity(t, 3)), ErrCertificateTime},
	} {
		init, resp := states(t, AESGCM, c.init, c.resp)
		if _, err := run(init, resp); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestCertificateTimesAreToldThoughRefused: how else would a client know how wrong its
// clock is.
func TestCertificateTimesAreToldThoughRefused(t *testing.T) {
	for _, ahead := range []time.Duration{-100 * time.Hour, time.Hour, 200 * time.Hour} {
		id := testIdentity(t, 2)
		end := time.Now().Add(ahead).Truncate(time.Second)
		cert, err := SignCertificate(testKey(2), testNetwork, [32]byte(id.key.PublicKey().Bytes()), end)
		if err != nil {
			t.Fatal(err)
		}
		id.certificate = cert
		var told time.Time
		cfg := clientConfig()
		cfg.Certified = func(who ed25519.PublicKey, notAfter time.Time) {
			if !who.Equal(testKey(2).Public()) {
				t.Error("another identity")
			}
			told = notAfter
		}
		init, resp := states(t, AESGCM, cfg, relayConfig(id))
		if _, err := run(init, resp); (err == nil) != (ahead == time.Hour) {
			t.Errorf("%v: %v", ahead, err)
		}
		if !told.Equal(end) {
			t.Errorf("%v: told %v, want %v", ahead, told, end)
		}
	}
}

// Spec: protocol §1 (LINK-5)
func TestResponderWithoutCertificateIsRefused(t *testing.T) {
	init, resp := states(t, AESGCM, clientConfig(), clientConfig())
	if _, err := run(init, resp); err != ErrHandshake {
		t.Error(err)
	}
}

// script is a connection whose incoming bytes are given.
type script struct {
	net.Conn
	in     *bytes.Reader
	sent   int
	closed bool
}

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { s.sent += len(b); return len(b), nil }
func (s *script) Close() error                { s.closed = true; return nil }
func (s *script) SetDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr        { return nil }

// Spec: protocol §1 (LINK-1, LINK-2)
func TestResponderClosesSilentlyOnAnythingElse(t *testing.T) {
	cfg := relayConfig(testIdentity(t, 2))
	init, _ := states(t, AESGCM, clientConfig(), cfg)
	flight, err := init.start()
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, in []byte, mayAnswer bool) {
		t.Helper()
		s := &script{in: bytes.NewReader(in)}
		l, err := Server(context.Background(), s, cfg)
		if err == nil || l != nil {
			t.Fatal(name, "accepted")
		}
		if err != ErrHandshake {
			t.Error(name, err)
		}
		if !s.closed {
			t.Error(name, "left open")
		}
		if s.sent != 0 && !(mayAnswer && s.sent == Message2Size) {
			t.Error(name, "answered with", s.sent)
		}
	}
	for n := range flight {
		refuse("cut", flight[:n], false)
	}
	refuse("no message 3", flight, true)
	refuse("short message 3", append(bytes.Clone(flight), make([]byte, Message3Size-1)...), true)
	refuse("wrong message 3", append(bytes.Clone(flight), make([]byte, Message3Size)...), true)
	for i := range len(flight) {
		if i > 2 && i%29 != 0 {
			continue
		}
		bad := bytes.Clone(flight)
		bad[i] ^= 0x40
		refuse("flipped", append(bad, make([]byte, Message3Size)...), false)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		junk := make([]byte, random.IntN(4096))
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		if len(junk) > 1 && random.IntN(2) == 0 {
			junk[0], junk[1] = byte(1+random.IntN(2)), version
		}
		refuse("random", junk, false)
	}
	for _, hello := range [][]byte{{0, 1}, {3, 1}, {1, 0}, {1, 2}, {255, 255}} {
		refuse("hello", append(hello, flight[HelloSize:]...), false)
	}
}

func TestInitiatorRefusesMessage2CutAndChanged(t *testing.T) {
	cfg := clientConfig()
	for n := 0; n < Message2Size; n += 7 {
		s := &script{in: bytes.NewReader(make([]byte, n))}
		if _, err := Client(context.Background(), s, cfg); err != ErrHandshake || !s.closed {
			t.Fatal(n, err)
		}
	}
	for i := 0; i < Message2Size; i += 31 {
		init, resp := states(t, AESGCM, cfg, relayConfig(testIdentity(t, 2)))
		m1, _ := init.start()
		m2, err := resp.answer(m1[HelloSize:])
		if err != nil {
			t.Fatal(err)
		}
		m2[i] ^= 1
		if _, err := init.finish(m2); err != ErrHandshake {
			t.Fatal("byte", i, err)
		}
	}
}

func TestMessage3CutAndChanged(t *testing.T) {
	for i := 0; i < Message3Size; i += 13 {
		init, resp := states(t, AESGCM, relayConfig(testIdentity(t, 1)), relayConfig(testIdentity(t, 2)))
		m1, _ := init.start()
		m2, _ := resp.answer(m1[HelloSize:])
		m3, err := init.finish(m2)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(m3)
		bad[i] ^= 0x80
		if err := resp.accept(bad); err != ErrHandshake {
			t.Fatal("byte", i, err)
		}
		if err := resp.accept(m3[:i]); err != ErrHandshake {
			t.Fatal("cut at", i, err)
		}
	}
}

func TestOnlyTheKEMWrongEndsTheHandshakeTheSameWay(t *testing.T) {
	init, resp := states(t, AESGCM, clientConfig(), relayConfig(testIdentity(t, 2)))
	m1, _ := init.start()
	m2, _ := resp.answer(m1[HelloSize:])
	if err := resp.state.setPSK(make([]byte, 32)); err != nil { // another shared secret
		t.Fatal(err)
	}
	m3, err := init.finish(m2)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.accept(m3); err != ErrHandshake {
		t.Error(err)
	}
}

// Spec: protocol §1 (LINK-2)
func TestHalfAndSlowHandshakesEndAfterTenSeconds(t *testing.T) {
	drip := func(conn net.Conn, b []byte) {
		for i := range b {
			if _, err := conn.Write(b[i : i+1]); err != nil {
				return
			}
			pause := time.NewTimer(100 * time.Millisecond)
			<-pause.C
		}
	}
	init := func() []byte {
		h, _ := states(t, AESGCM, clientConfig(), clientConfig())
		m1, err := h.start()
		if err != nil {
			t.Fatal(err)
		}
		return m1
	}()
	for _, c := range []struct {
		name   string
		server bool
		peer   func(conn net.Conn)
	}{
		{"server, nothing arrives", true, func(net.Conn) {}},
		{"server, half a message 1", true, func(c net.Conn) { c.Write(init[:600]) }},
		{"server, message 1 drips", true, func(c net.Conn) { drip(c, init) }},
		{"server, no message 3", true, func(c net.Conn) { c.Write(init) }},
		{"server, message 3 drips", true, func(c net.Conn) { c.Write(init); drip(c, make([]byte, 300)) }},
		{"client, nothing arrives", false, func(net.Conn) {}},
		{"client, message 2 drips", false, func(c net.Conn) { drip(c, make([]byte, 1400)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			testutil.Bubble(t, func(t *testing.T) {
				near, far := conns(t, memnet.New(memnet.Config{}))
				var peer sync.WaitGroup
				peer.Go(func() { c.peer(far) })
				start := time.Now()
				var err error
				if c.server {
					_, err = Server(context.Background(), near, relayConfig(testIdentity(t, 2)))
				} else {
					_, err = Client(context.Background(), near, clientConfig())
				}
				if err != ErrTimeout {
					t.Error(err)
				}
				if d := time.Since(start); d != HandshakeTimeout {
					t.Error("ended after", d)
				}
				far.Close()
				peer.Wait()
			})
		})
	}
}

func TestContextEndsAHandshake(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := conns(t, memnet.New(memnet.Config{}))
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := Client(ctx, near, clientConfig()); err != ErrTimeout || time.Since(start) != 2*time.Second {
			t.Error(err, time.Since(start))
		}
		near, far2 := conns(t, memnet.New(memnet.Config{}))
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if _, err := Client(ctx, near, clientConfig()); err != context.Canceled {
			t.Error(err)
		}
		far.Close()
		far2.Close()
	})
}

func FuzzHandshakePayload(f *testing.F) {
	init, resp := states(f, AESGCM, relayConfig(testIdentity(f, 1)), relayConfig(testIdentity(f, 2)))
	m, err := run(init, resp)
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range m {
		f.Add(b)
	}
	f.Add(init.ownCertificate())
	f.Add(make([]byte, p3))
	id := testIdentity(f, 2)
	f.Fuzz(func(t *testing.T, b []byte) {
		if raw, err := parseField(b); err == nil {
			again := make([]byte, p3)
			again[0], again[1] = byte(len(raw)>>8), byte(len(raw))
			copy(again[2:], raw)
			if !bytes.Equal(again, b) {
				t.Error("two encodings of one certificate field")
			}
		}
		s := &script{in: bytes.NewReader(b)}
		if l, err := Server(context.Background(), s, relayConfig(id)); err == nil {
			l.Close()
			t.Error("accepted")
		}
		s = &script{in: bytes.NewReader(b)}
		if l, err := Client(context.Background(), s, clientConfig()); err == nil {
			l.Close()
			t.Error("accepted")
		}
	})
}
