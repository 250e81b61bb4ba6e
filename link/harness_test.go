// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/internal/memnet"
)

var testNetwork = [32]byte{1, 2, 3}

// seeded is a source of bytes that is the same in every run.
type seeded struct{ n byte }

func (s *seeded) Read(b []byte) (int, error) {
	for i := range b {
		s.n = s.n*5 + 113
		b[i] = s.n
	}
	return len(b), nil
}

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))
}

func testIdentity(t testing.TB, n byte) *Identity {
	t.Helper()
	id, err := NewIdentity(&seeded{n}, testNetwork, testKey(n), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func clientConfig() Config            { return Config{NetworkID: testNetwork} }
func relayConfig(id *Identity) Config { return Config{NetworkID: testNetwork, Identity: id} }
func hostAddr(n byte) netip.Addr      { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }
func hostPort(n byte) netip.AddrPort  { return netip.AddrPortFrom(hostAddr(n), 9240) }
func memPath(p memnet.Path) *memnet.Network {
	return memnet.New(memnet.Config{Path: func(_, _ netip.Addr) memnet.Path { return p }})
}

// conns returns both ends of a connection from host 1 to host 2.
func conns(t testing.TB, n *memnet.Network) (near, far net.Conn) {
	t.Helper()
	ln, err := n.Host(hostAddr(2)).Listen(hostPort(2))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err = n.Host(hostAddr(1)).Dial(context.Background(), hostPort(2))
	if err != nil {
		t.Fatal(err)
	}
	far, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// links makes a link from host 1 to host 2, whose identity is number 2.
func links(t testing.TB, n *memnet.Network, cfg Config) (near, far *Link) {
	t.Helper()
	a, b := conns(t, n)
	server := cfg
	server.Identity, server.Verify = testIdentity(t, 2), nil
	done := make(chan *Link, 1)
	go func() {
		l, err := Server(context.Background(), b, server)
		if err != nil {
			t.Error(err)
		}
		done <- l
	}()
	near, err := Client(context.Background(), a, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if far = <-done; far == nil {
		t.FailNow()
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// raw is a peer that speaks records but puts into them what it likes.
type raw struct {
	t    testing.TB
	conn net.Conn
	h    *handshake
	in   []byte
}

// rawDial makes a link to a raw initiator; it is a client, or a relay with id.
func rawDial(t testing.TB, n *memnet.Network, id *Identity) (*raw, *Link) {
	t.Helper()
	a, b := conns(t, n)
	done := make(chan *Link, 1)
	go func() {
		l, err := Server(context.Background(), b, relayConfig(testIdentity(t, 2)))
		if err != nil {
			t.Error(err)
		}
		done <- l
	}()
	cfg := relayConfig(id).withDefaults()
	h, err := initiate(a, &cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l := <-done
	if l == nil {
		t.FailNow()
	}
	t.Cleanup(func() {
		l.Close()
		a.Close()
	})
	return &raw{t: t, conn: a, h: h}, l
}

// rawKeys is rawDial with fixed keys instead of a handshake.
func rawKeys(t testing.TB) (*raw, *Link) {
	t.Helper()
	a, b := conns(t, memnet.New(memnet.Config{}))
	seal, open := ciphers(t, AESGCM, [32]byte{1})
	back, forth := ciphers(t, AESGCM, [32]byte{2})
	l, err := newLink(b, clientConfig().withDefaults(), &handshake{send: back, recv: open}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		a.Close()
	})
	return &raw{t: t, conn: a, h: &handshake{send: seal, recv: forth}}, l
}

// send packs bytes of frames into records. It reports whether the peer took them.
func (r *raw) send(frames ...[]byte) bool {
	b := bytes.Join(frames, nil)
	var out []byte
	for len(b) > 0 {
		rec := make([]byte, RecordSize)
		n := copy(rec[:RecordData], b)
		if err := r.h.send.seal(rec, n, 0); err != nil {
			r.t.Fatal(err)
		}
		b = b[n:]
		out = append(out, rec...)
	}
	_, err := r.conn.Write(out)
	return err == nil
}

// next returns the next frame that the peer sends.
func (r *raw) next() (frame, []byte, error) {
	for {
		if f, ok := parseFrame(r.in); ok {
			size, err := f.check()
			if err != nil {
				return f, nil, err
			}
			if len(r.in) >= size {
				body := r.in[frameHeaderSize:size]
				r.in = r.in[size:]
				return f, body, nil
			}
		}
		rec := make([]byte, RecordSize)
		if _, err := io.ReadFull(r.conn, rec); err != nil {
			return frame{}, nil, err
		}
		data, err := r.h.recv.open(rec)
		if err != nil {
			return frame{}, nil, err
		}
		r.in = append(r.in, data...)
	}
}

func makeFrame(kind byte, flags uint16, stream, length uint32) []byte {
	b := make([]byte, frameHeaderSize)
	b[1] = kind
	binary.BigEndian.PutUint16(b[2:], flags)
	binary.BigEndian.PutUint32(b[4:], stream)
	binary.BigEndian.PutUint32(b[8:], length)
	return b
}

// dataFrame is a data frame with its bytes.
func dataFrame(flags uint16, stream uint32, data []byte) []byte {
	return append(makeFrame(frameData, flags, stream, uint32(len(data))), data...)
}

// vectors reads testdata/vectors/name: lines of "name = hex".
func vectors(t testing.TB, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := make(map[string][]byte)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		b, err := hex.DecodeString(value)
		if !ok || err != nil {
			t.Fatalf("%s: bad line %.40s", name, line)
		}
		out[key] = b
	}
	return out
}
