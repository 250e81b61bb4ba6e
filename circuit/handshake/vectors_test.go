// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// TestVectors fixes one handshake byte for byte. All values but the messages
// and keys are computed here a second time, from the text of protocol §4.
func TestVectors(t *testing.T) {
	f := newFixture(t)
	var text strings.Builder
	note := func(line string) { fmt.Fprintf(&text, "# %s\n", line) }
	put := func(name string, value []byte) []byte {
		fmt.Fprintf(&text, "%s = %x\n", name, value)
		return value
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	same := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from its definition", what)
		}
	}
	xor := func(a, b []byte) []byte {
		out := bytes.Clone(a)
		for i := range out {
			out[i] ^= b[i]
		}
		return out
	}
	h := func(b []byte) []byte { s := sha3.Sum256(b); return s[:] }

	note("One handshake hy1. Spec: protocol §4.")
	note("Inputs.")
	put("rid", f.rid[:])
	put("onion.private", testBytes(32, "onion"))
	seeds := testBytes(96, "client")
	put("client.x", seeds[:32])
	put("client.mlkem", seeds[32:])
	put("relay.y", testBytes(32, "relay"))
	put("encapsulation", testBytes(32, "encapsulation"))
	put("cm", f.cm[:])
	put("sm", f.sm[:])

	x, y := newPrivateKey((*[32]byte)(seeds)), newPrivateKey((*[32]byte)(testBytes(32, "relay")))
	dk, err := mlkem.NewDecapsulationKey768(seeds[32:])
	if err != nil {
		t.Fatal(err)
	}
	ss, ct, err := mlkemtest.Encapsulate768(dk.EncapsulationKey(), testBytes(32, "encapsulation"))
	if err != nil {
		t.Fatal(err)
	}
	public := f.onion.Public()
	id, bigB := join(f.rid[:], make([]byte, 16)), public[:]
	bigX, bigY, ek := x.PublicKey().Bytes(), y.PublicKey().Bytes(), dk.EncapsulationKey().Bytes()
	xb, _ := exchange(x, bigB)
	xy, _ := exchange(x, bigY)

	note("CREATE.")
	put("onion.public", bigB)
	put("shared.xb", xb)
	k1 := put("k1", sha3.SumSHAKE256(join([]byte("chive hy1 msg v1"), xb, id, bigX, bigB, ek), 96))
	encCM := put("enc.cm", xor(f.cm[:], k1[:64]))
	mac := put("mac", h(join([]byte("chive hy1 mac v1"), k1[64:], id, bigB, bigX, ek, encCM)))
	put("create", f.create)
	same("CREATE", f.create, join([]byte{0, 1, 0x05, 0x60}, id, bigB, bigX, ek, encCM, mac))

	note("CREATED.")
	put("shared.xy", xy)
	put("shared.ss", ss)
	secret := join(xy, xb, ss, id, bigB, bigX, ek, bigY, ct)
	keys := put("keys", sha3.SumSHAKE256(join([]byte("chive hy1 keys v1"), secret), 384))
	encSM := put("enc.sm", xor(f.sm[:], keys[320:]))
	verify := put("verify", h(join([]byte("chive hy1 verify v1"), secret)))
	auth := put("auth", h(join([]byte("chive hy1 auth v1"), verify, id, bigB, bigY, ct, bigX, ek, mac, encSM, []byte("server"))))
	put("created", f.created)
	same("CREATED", f.created, join([]byte{0, 1, 0x04, 0xc0}, bigY, ct, auth, encSM))

	note("Keys of both sides.")
	put("forward", f.relayKeys.Forward[:])
	put("backward", f.relayKeys.Backward[:])
	put("binding", f.relayKeys.Binding[:])
	same("keys", join(f.relayKeys.Forward[:], f.relayKeys.Backward[:], f.relayKeys.Binding[:]), keys[:320])
	k, sm, err := f.client.Finish(f.created)
	if err != nil || *k != *f.relayKeys || sm != f.sm {
		t.Error("the client does not finish")
	}

	path := filepath.Join("testdata", "vectors", "hy1.txt")
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(text.String(), "\n"), strings.Split(string(golden), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("line %d differs", i+1)
		}
	}
}

// readVector gives one value of the golden file, for seeds of fuzz targets.
func readVector(t testing.TB, name string) []byte {
	t.Helper()
	golden, err := os.ReadFile(filepath.Join("testdata", "vectors", "hy1.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		if value, ok := strings.CutPrefix(line, name+" = "); ok {
			b, err := hex.DecodeString(strings.TrimSpace(value))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatalf("no vector %s", name)
	return nil
}
