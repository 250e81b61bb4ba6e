// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// testBytes is the fixed filler of vectors and tests: n bytes of SHAKE256 over
// "chive handshake test v1" and name.
func testBytes(n int, name string) []byte {
	out := make([]byte, n)
	_, _ = testRandom(name).Read(out)
	return out
}

// testRandom is the same as an endless reader.
func testRandom(name string) io.Reader {
	x := sha3.NewSHAKE256()
	_, _ = x.Write([]byte("chive handshake test v1" + name))
	return x
}

func testOnionKey(name string) *OnionKey {
	return NewOnionKey((*[32]byte)(testBytes(32, name)))
}

// fixture is one handshake with fixed inputs, answered but not finished.
type fixture struct {
	rid       [16]byte
	onion     *OnionKey
	cm, sm    [MessageSize]byte
	client    *Client
	create    []byte
	created   []byte
	relayKeys *Keys
}

// fixedEncapsulation takes m from name.
func fixedEncapsulation(name string) encapsulation {
	return func(ek *mlkem.EncapsulationKey768) ([]byte, []byte) {
		ss, ct, err := mlkemtest.Encapsulate768(ek, testBytes(32, name))
		if err != nil {
			panic(err)
		}
		return ss, ct
	}
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{
		rid: [16]byte(testBytes(16, "rid")), onion: testOnionKey("onion"),
		cm: [MessageSize]byte(testBytes(MessageSize, "cm")), sm: [MessageSize]byte(testBytes(MessageSize, "sm")),
	}
	var err error
	f.client, f.create, err = Start(testRandom("client"), f.rid, f.onion.Public(), &f.cm)
	if err != nil {
		t.Fatal(err)
	}
	f.created, f.relayKeys, err = respond(testRandom("relay"), f.rid, []*OnionKey{f.onion}, f.create, f.reply, fixedEncapsulation("encapsulation"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) reply(*[MessageSize]byte) [MessageSize]byte { return f.sm }

// respond offers the relay another CREATE; reply must not be called on
// failure.
func (f *fixture) respond(message []byte) (err error) {
	called := false
	answer, k, err := Respond(testRandom("relay"), f.rid, []*OnionKey{f.onion}, message, func(*[MessageSize]byte) [MessageSize]byte {
		called = true
		return f.sm
	})
	if (err == nil) != called || (err == nil) != (k != nil) || (err == nil) != (answer != nil) {
		return errors.New("test: a refused CREATE had an effect")
	}
	return err
}

// finish offers a fresh copy of the client another CREATED.
func (f *fixture) finish(message []byte) error {
	c := *f.client
	c.bx = bytes.Clone(c.bx)
	k, sm, err := c.Finish(message)
	if err != nil && (k != nil || sm != [MessageSize]byte{}) {
		return errors.New("test: a refused CREATED had an effect")
	}
	return err
}

func TestBothSidesAgree(t *testing.T) {
	f := newFixture(t)
	successor := testOnionKey("successor")
	for _, keys := range [][]*OnionKey{{f.onion}, {successor, f.onion}, {f.onion, successor}} {
		client, create, err := Start(testRandom("agree"), f.rid, f.onion.Public(), &f.cm)
		if err != nil {
			t.Fatal(err)
		}
		if len(create) != 1380 {
			t.Fatal("CREATE has another size")
		}
		var got [MessageSize]byte
		created, relayKeys, err := Respond(testRandom("agree too"), f.rid, keys, create, func(cm *[MessageSize]byte) [MessageSize]byte {
			got = *cm
			return f.sm
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(created) != 1220 {
			t.Fatal("CREATED has another size")
		}
		clientKeys, sm, err := client.Finish(created)
		if err != nil {
			t.Fatal(err)
		}
		if got != f.cm || sm != f.sm {
			t.Fatal("a message did not arrive")
		}
		if *clientKeys != *relayKeys || clientKeys.Forward == clientKeys.Backward {
			t.Fatal("keys")
		}
	}
}

// TestRandomnessOfEachSideCounts proves that no two handshakes share keys as
// long as one side is fresh, the relay's ML-KEM randomness alone included.
func TestRandomnessOfEachSideCounts(t *testing.T) {
	f := newFixture(t)
	seen := map[Keys]bool{*f.relayKeys: true}
	for _, run := range []struct{ client, relay, encapsulation string }{
		{"client 2", "relay", "encapsulation"}, {"client", "relay 2", "encapsulation"}, {"client", "relay", "encapsulation 2"},
	} {
		_, create, err := Start(testRandom(run.client), f.rid, f.onion.Public(), &f.cm)
		if err != nil {
			t.Fatal(err)
		}
		_, k, err := respond(testRandom(run.relay), f.rid, []*OnionKey{f.onion}, create, f.reply, fixedEncapsulation(run.encapsulation))
		if err != nil {
			t.Fatal(err)
		}
		if seen[*k] {
			t.Fatalf("%v: keys repeat", run)
		}
		seen[*k] = true
	}
}

func TestAClientServesForOneAnswer(t *testing.T) {
	f := newFixture(t)
	bad := bytes.Clone(f.created)
	bad[len(bad)-1] ^= 1
	for _, first := range [][]byte{f.created, bad, nil} {
		c := *f.client
		c.bx = bytes.Clone(c.bx)
		_, _, _ = c.Finish(first)
		if c.x != nil || c.dk != nil || c.message != nil || c.bx != nil {
			t.Fatal("secrets are left")
		}
		if _, _, err := c.Finish(f.created); err != ErrHandshake {
			t.Fatalf("second answer: %v", err)
		}
	}
	f.client.Wipe()
	if _, _, err := f.client.Finish(f.created); err != ErrHandshake {
		t.Fatalf("answer after Wipe: %v", err)
	}
}

func TestRespondLeavesTheMessageAlone(t *testing.T) {
	f := newFixture(t)
	before := bytes.Clone(f.create)
	if err := f.respond(f.create); err != nil {
		t.Fatal(err)
	}
	answer := bytes.Clone(f.created)
	if err := f.finish(f.created); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, f.create) || !bytes.Equal(answer, f.created) {
		t.Fatal("an argument was changed")
	}
}

func TestUnknownOnionKey(t *testing.T) {
	f := newFixture(t)
	for _, keys := range [][]*OnionKey{nil, {testOnionKey("another")}} {
		_, _, err := Respond(testRandom(""), f.rid, keys, f.create, f.reply)
		if err != ErrUnknownKey {
			t.Fatal(err)
		}
	}
	// A message that is not hy1 for this relay is a fault before it is unknown.
	bad := bytes.Clone(f.create)
	bad[1] = 2
	if _, _, err := Respond(testRandom(""), f.rid, nil, bad, f.reply); err != ErrHandshake {
		t.Fatal(err)
	}
}

func TestFailingRandomnessIsNotAHandshakeFault(t *testing.T) {
	f := newFixture(t)
	broken := errors.New("broken")
	for _, size := range []int64{0, 31, 32, 95} {
		source := io.MultiReader(io.LimitReader(testRandom(""), size), iotest.ErrReader(broken))
		if _, _, err := Start(source, f.rid, f.onion.Public(), &f.cm); !errors.Is(err, broken) {
			t.Fatalf("Start with %d bytes: %v", size, err)
		}
	}
	if _, _, err := Start(io.LimitReader(testRandom(""), 96), f.rid, f.onion.Public(), &f.cm); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 31} {
		source := io.MultiReader(io.LimitReader(testRandom(""), size), iotest.ErrReader(broken))
		_, _, err := Respond(source, f.rid, []*OnionKey{f.onion}, f.create, f.reply)
		if !errors.Is(err, broken) {
			t.Fatalf("Respond with %d bytes: %v", size, err)
		}
	}
}

func TestPrintingShowsNoKey(t *testing.T) {
	f := newFixture(t)
	for _, v := range []any{f.client, *f.client, f.relayKeys, *f.relayKeys, f.onion, *f.onion} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if out := fmt.Sprintf(verb, v); !strings.HasSuffix(out, "(redacted)") {
				t.Errorf("%T prints under %s", v, verb)
			}
		}
	}
	f.relayKeys.Wipe()
	if *f.relayKeys != (Keys{}) {
		t.Error("keys are left")
	}
}
