// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

func testKey(u use, term uint64) *secretKey {
	k := &secretKey{use: u, term: term, created: time.Date(2026, 11, 24, 19, 0, 0, 0, time.UTC)}
	for i := range k.seed {
		k.seed[i] = byte(i + 1)
	}
	return k
}

var everyUse = []use{useIdentity, useOnion, useVRF, useCommittee, useFamily}

func TestKeyFileRoundTrip(t *testing.T) {
	for _, u := range everyUse {
		term := uint64(0)
		if u == useCommittee {
			term = 7
		}
		k := testKey(u, term)
		data, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeKey(data, u)
		if err != nil {
			t.Fatalf("%s: %v", u, err)
		}
		if *got != *k {
			t.Errorf("%s: the key that was read is another", u)
		}
		for _, other := range everyUse {
			if other != u {
				if _, err := decodeKey(data, other); err == nil {
					t.Errorf("a %s key passes as a %s key (KEY-1)", u, other)
				}
			}
		}
	}
}

// TestDamagedKeyFileIsNoticed: no flipped bit and no cut makes another key.
func TestDamagedKeyFileIsNoticed(t *testing.T) {
	for _, u := range []use{useIdentity, useOnion} {
		k := testKey(u, 0)
		data, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		public := mustPublic(t, k) // X25519 ignores some bits of a seed
		for i := range data {
			if got, err := decodeKey(data[:i], u); err == nil && mustPublic(t, got) != public {
				t.Fatalf("%s: cut at %d it is another key", u, i)
			}
			for bit := range 8 {
				bad := bytes.Clone(data)
				bad[i] ^= 1 << bit
				if got, err := decodeKey(bad, u); err == nil && mustPublic(t, got) != public {
					t.Fatalf("%s: bit %d of byte %d makes another key", u, bit, i)
				}
			}
		}
		if _, err := decodeKey(append(bytes.Clone(data), "more"...), u); err == nil {
			t.Errorf("%s: bytes behind the key are accepted", u)
		}
		if _, err := decodeKey(append(bytes.Clone(data), make([]byte, maxKeyFileSize)...), u); err == nil {
			t.Errorf("%s: a file beyond the bound is accepted", u)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	k := testKey(useIdentity, 0)
	all := &relayKeys{identity: k, vrf: k, onion: onionKeys{{k, 1}}}
	secret := hex.EncodeToString(k.seed[:4])
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{k, all, all.onion[0], []*secretKey{k}} {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			if strings.Contains(text, secret) || strings.Contains(text, "1 2 3 4") || strings.Contains(text, "0x1, 0x2") {
				t.Errorf("%s of %T shows the key (KEY-5)", verb, v)
			}
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	for _, u := range everyUse {
		data, err := testKey(u, 0).encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, string(u))
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		k, err := decodeKey(data, use(name))
		if err != nil {
			return
		}
		again, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeKey(again, use(name)); err != nil || *same != *k {
			t.Fatal("a key that was read does not survive being written")
		}
	})
}
