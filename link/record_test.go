// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/flynn/noise"
)

var suites = []struct {
	suite  Suite
	name   string
	cipher noise.CipherFunc
}{
	{AESGCM, "aesgcm", noise.CipherAESGCM},
	{ChaChaPoly, "chachapoly", noise.CipherChaChaPoly},
}

func ciphers(t testing.TB, suite Suite, key [32]byte) (seal, open *recordCipher) {
	t.Helper()
	seal, err := newRecordCipher(suite, &key)
	if err != nil {
		t.Fatal(err)
	}
	open, err = newRecordCipher(suite, &key)
	if err != nil {
		t.Fatal(err)
	}
	return seal, open
}

// record seals data into a new record.
func record(t testing.TB, c *recordCipher, data []byte, flags uint16) []byte {
	t.Helper()
	r := bytes.Repeat([]byte{0xaa}, RecordSize) // what was there must not matter
	copy(r, data)
	if err := c.seal(r, len(data), flags); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordVectors(t *testing.T) {
	v := vectors(t, "record.txt")
	for _, s := range suites {
		seal, open := ciphers(t, s.suite, [32]byte(v["key"]))
		check := func(name string, data []byte, flags uint16) {
			t.Helper()
			r := record(t, seal, data, flags)
			if want := v[s.name+"_"+name]; !bytes.Equal(r, want) {
				t.Errorf("%s_%s = %x", s.name, name, r)
				return
			}
			if got, err := open.open(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s_%s does not open: %v", s.name, name, err)
			}
		}
		check("record_0", v["data_0"], 0)
		check("record_1", v["data_1"], 0)
		check("record_2_padding", nil, flagPadding)
		seal.n, open.n = rekeyInterval, rekeyInterval
		check("record_65536", v["data_0"], 0)
		seal.n, open.n = 2*rekeyInterval, 2*rekeyInterval
		check("record_131072", v["data_0"], 0)
	}
}

// The records are what the Noise library's own cipher state makes of them.
func TestRecordsAndRekeyingAreNoises(t *testing.T) {
	key := [32]byte{3, 1, 4}
	for _, s := range suites {
		cs := noise.NewCipherSuite(noise.DH25519, s.cipher, noise.HashSHA256)
		theirs := noise.UnsafeNewCipherState(cs, key, 0)
		ours, _ := ciphers(t, s.suite, key)
		for n := range uint64(5) {
			if n == 3 {
				theirs.SetNonce(rekeyInterval)
				ours.n = rekeyInterval
				theirs.Rekey()
			}
			plain := make([]byte, recordPlain)
			copy(plain, "data")
			plain[RecordData+1] = 4
			want, err := theirs.Encrypt(nil, nil, plain)
			if err != nil {
				t.Fatal(err)
			}
			if got := record(t, ours, []byte("data"), 0); !bytes.Equal(got, want) {
				t.Errorf("%s: record %d differs", s.name, n)
			}
		}
	}
}

// Spec: protocol §1 (LINK-6)
func TestKeysChangeEvery65536RecordsOnBothSides(t *testing.T) {
	if testing.Short() {
		t.Skip("140 MB of records")
	}
	seal, open := ciphers(t, AESGCM, [32]byte{1})
	first := seal.aead
	r := make([]byte, RecordSize)
	for n := range rekeyInterval + 2 {
		if (seal.aead != first) != (n > rekeyInterval) {
			t.Fatal("key of record", n)
		}
		r[0] = byte(n)
		if err := seal.seal(r, 1, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := open.open(r); err != nil || got[0] != byte(n) {
			t.Fatal("record", n, err)
		}
	}
	late, _ := ciphers(t, AESGCM, [32]byte{1})
	late.n = rekeyInterval + 2
	old := record(t, late, []byte("x"), 0) // right counter, key of the first interval
	if _, err := open.open(old); err != ErrRecord {
		t.Error("the old key still opens records")
	}
}

// Spec: protocol §1 (LINK-7)
func TestRecordBounds(t *testing.T) {
	for _, c := range []struct {
		n     int
		flags uint16
		ok    bool
	}{
		{1, 0, true}, {RecordData, 0, true}, {0, flagPadding, true},
		{0, 0, false}, {1, flagPadding, false}, {1, 2, false}, {0, 2, false},
		{0, 3, false}, {1, 0x8000, false}, {0, 0x8001, false}, {RecordData, flagPadding, false},
	} {
		seal, open := ciphers(t, AESGCM, [32]byte{})
		r := record(t, seal, make([]byte, c.n), c.flags)
		if _, err := open.open(r); (err == nil) != c.ok {
			t.Errorf("%d bytes, flags %x: %v", c.n, c.flags, err)
		}
	}
	// A length beyond the data, which seal cannot make.
	for _, n := range []int{RecordData + 1, 0xffff} {
		seal, open := ciphers(t, AESGCM, [32]byte{})
		r := make([]byte, RecordSize)
		r[RecordData], r[RecordData+1] = byte(n>>8), byte(n)
		seal.advance()
		seal.aead.Seal(r[:0], seal.nonce[:], r[:recordPlain], nil)
		if _, err := open.open(r); err != ErrRecord {
			t.Error("length", n, err)
		}
	}
}

func TestAnyChangedByteSpoilsARecordAndTheErrorStays(t *testing.T) {
	for _, s := range suites {
		for i := range RecordSize {
			seal, open := ciphers(t, s.suite, [32]byte{5})
			bad, good := record(t, seal, []byte("one"), 0), record(t, seal, []byte("two"), 0)
			bad[i] ^= 1 << (i % 8)
			if _, err := open.open(bad); err != ErrRecord {
				t.Fatal(s.name, "byte", i, err)
			}
			if _, err := open.open(good); err != ErrRecord {
				t.Fatal("use after failure")
			}
		}
	}
}

func TestRecordsReplayedDroppedOrSwappedAreRefused(t *testing.T) {
	seal, _ := ciphers(t, ChaChaPoly, [32]byte{5})
	r := [][]byte{record(t, seal, []byte("0"), 0), record(t, seal, []byte("1"), 0), record(t, seal, []byte("2"), 0)}
	for _, order := range [][]int{{0, 0}, {1}, {0, 2}, {1, 0}} {
		_, open := ciphers(t, ChaChaPoly, [32]byte{5})
		var err error
		for _, i := range order {
			if _, err = open.open(bytes.Clone(r[i])); err != nil {
				break
			}
		}
		if err != ErrRecord {
			t.Error(order, err)
		}
	}
}

func TestTheCounterEnds(t *testing.T) {
	seal, _ := ciphers(t, AESGCM, [32]byte{})
	seal.n = 1<<64 - 2
	if err := seal.seal(make([]byte, RecordSize), 1, 0); err != ErrRecord {
		t.Error(err)
	}
	if err := seal.seal(make([]byte, RecordSize), 1, 0); err != ErrRecord {
		t.Error("not sticky:", err)
	}
}

func TestSealAndOpenDoNotAllocate(t *testing.T) {
	for _, s := range suites {
		seal, open := ciphers(t, s.suite, [32]byte{1})
		r := make([]byte, RecordSize)
		if n := testing.AllocsPerRun(100, func() {
			if seal.seal(r, 100, 0) != nil {
				t.Error("seal")
			}
			if _, err := open.open(r); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations a record", s.name, n)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("data"), uint16(4), uint16(0), uint8(0), uint16(0))
	f.Add([]byte{}, uint16(0), uint16(1), uint8(0), uint16(0))
	f.Add(make([]byte, RecordData), uint16(RecordData), uint16(0), uint8(1), uint16(9))
	f.Fuzz(func(t *testing.T, data []byte, length, flags uint16, flip uint8, at uint16) {
		seal, open := ciphers(t, AESGCM, [32]byte{})
		// The decrypted record is the peer's to choose.
		r := make([]byte, RecordSize)
		copy(r[:RecordData], data)
		copy(r[RecordData:], []byte{byte(length >> 8), byte(length), byte(flags >> 8), byte(flags)})
		plain := bytes.Clone(r[:recordPlain])
		seal.advance()
		seal.aead.Seal(r[:0], seal.nonce[:], r[:recordPlain], nil)
		r[int(at)%RecordSize] ^= flip
		got, err := open.open(r)
		good := flip == 0 && (flags == 0 && length >= 1 && length <= RecordData || flags == flagPadding && length == 0)
		if (err == nil) != good {
			t.Fatal(fmt.Sprint(length, flags, flip), err)
		}
		if err == nil && flags == 0 && !bytes.Equal(got, plain[:length]) {
			t.Error("other data")
		}
	})
}
