// SPDX-License-Identifier: BSD-3-Clause

package strictcbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// sample has every kind of field that formats use.
type sample struct {
	Number uint64   `cbor:"0,keyasint"`
	Bytes  []byte   `cbor:"1,keyasint"`
	Text   string   `cbor:"2,keyasint,omitempty"`
	Flag   bool     `cbor:"3,keyasint,omitempty"`
	Pairs  []pair   `cbor:"4,keyasint,omitempty"`
	Part   Raw      `cbor:"5,keyasint,omitempty"`
	Inner  *inner   `cbor:"6,keyasint,omitempty"`
	Array  [4]byte  `cbor:"7,keyasint"`
	List   []uint64 `cbor:"40,keyasint,omitempty"`
}

type pair struct {
	_ struct{} `cbor:",toarray"`
	A uint64
	B []byte
}

type inner struct {
	Number int64 `cbor:"0,keyasint"`
}

func full() sample {
	return sample{
		Number: 1 << 40, Bytes: []byte{1, 2}, Text: "grün", Flag: true,
		Pairs: []pair{{A: 1, B: []byte{3}}, {A: 300}}, Part: Raw{0x82, 0x01, 0x02},
		Inner: &inner{Number: -7}, Array: [4]byte{9, 8, 7, 6}, List: []uint64{1, 24, 256, 65536},
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, v := range []sample{{}, full()} {
		b := encode(t, v)
		var got sample
		extra, err := Unmarshal(b, len(b), &got)
		if err != nil || extra.Count() != 0 {
			t.Fatalf("%x: %v, %d extra pairs", b, err, extra.Count())
		}
		if again := encode(t, got); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	}
}

func TestSizeIsBoundedBeforeDecoding(t *testing.T) {
	b := encode(t, full())
	var got sample
	if _, err := Unmarshal(b, len(b)-1, &got); !errors.Is(err, ErrSize) {
		t.Errorf("one byte too many: %v", err)
	}
	if _, err := Unmarshal(nil, 10, &got); !errors.Is(err, ErrSize) {
		t.Errorf("nothing: %v", err)
	}
}

func TestTruncationAndTrailingByteAreRefused(t *testing.T) {
	b := encode(t, full())
	var got sample
	for n := range b {
		if _, err := Unmarshal(b[:n], len(b), &got); err == nil {
			t.Fatalf("cut to %d bytes: accepted", n)
		}
	}
	if _, err := Unmarshal(append(bytes.Clone(b), 0), len(b)+1, &got); !errors.Is(err, ErrForm) {
		t.Errorf("trailing byte: %v", err)
	}
}

// TestForm reads the vectors: what has canonical form, and what has not and why.
//
// Spec: DIR-1.
func TestForm(t *testing.T) {
	for _, file := range []string{"canonical.txt", "refused.txt"} {
		for name, data := range readVectors(t, file) {
			err := Check(data)
			if file == "canonical.txt" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if file == "refused.txt" && !errors.Is(err, ErrForm) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestValuesOfAnotherTypeAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no map":                     "01",
		"missing key":                "a1 00 01",
		"short array":                "a3 00 01 01 40 07 43 010203",
		"long array":                 "a3 00 01 01 40 07 45 0102030405",
		"text for bytes":             "a3 00 01 01 60 07 44 01020304",
		"negative for unsigned":      "a3 00 20 01 40 07 44 01020304",
		"omitted field, given empty": "a4 00 01 01 40 02 60 07 44 01020304",
		"omitted flag, given false":  "a4 00 01 01 40 03 f4 07 44 01020304",
		"omitted list, given empty":  "a4 00 01 01 40 04 80 07 44 01020304",
		"pair of three":              "a4 00 01 01 40 04 81 83 01 40 01 07 44 01020304",
		"pair of one":                "a4 00 01 01 40 04 81 81 01 07 44 01020304",
	} {
		var got sample
		if _, err := Unmarshal(unhex(t, text), 100, &got); !errors.Is(err, ErrType) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Spec: DIR-1.
func TestUnknownKeyIsRefusedBelow64AndKeptFrom64(t *testing.T) {
	var got sample
	below := unhex(t, "a4 00 01 01 40 07 44 01020304 18 3f 01")
	if _, err := Unmarshal(below, 100, &got); !errors.Is(err, ErrKey) {
		t.Errorf("key 63: %v", err)
	}
	nested := unhex(t, "a4 00 01 01 40 06 a2 00 01 18 40 01 07 44 01020304")
	if _, err := Unmarshal(nested, 100, &got); !errors.Is(err, ErrKey) {
		t.Errorf("key 64 in a nested map: %v", err)
	}
	from := unhex(t, "a5 00 01 01 40 07 44 01020304 18 40 82 01 02 19 0100 a1 00 f5")
	extra, err := Unmarshal(from, 100, &got)
	if err != nil || extra.Count() != 2 || got.Array != [4]byte{1, 2, 3, 4} {
		t.Fatalf("keys 64 and 256: %v, %d pairs", err, extra.Count())
	}
	from[len(from)-1] ^= 1 // the pairs are a copy
	again, err := MarshalExtra(got, extra)
	from[len(from)-1] ^= 1
	if err != nil || !bytes.Equal(again, from) {
		t.Errorf("kept as %x: %v", again, err)
	}
	if _, err := MarshalExtra([]int{1}, extra); !errors.Is(err, ErrType) {
		t.Errorf("pairs added to an array: %v", err)
	}
}

func TestExtraPairsGrowTheMapHead(t *testing.T) {
	type wide struct {
		A0 uint64 `cbor:"0,keyasint"`
	}
	var e Extra
	for key := byte(64); key < 64+23; key++ {
		e.count, e.pairs = e.count+1, append(e.pairs, 0x18, key, 0x00)
	}
	b, err := MarshalExtra(wide{}, e)
	if err != nil || b[0] != 0xb8 || b[1] != 24 {
		t.Fatalf("head %x: %v", b[:2], err)
	}
	var got wide
	back, err := Unmarshal(b, len(b), &got)
	if err != nil || back.Count() != 23 {
		t.Errorf("%d pairs: %v", back.Count(), err)
	}
}

func TestWithoutDropsOnlyTheNamedKeys(t *testing.T) {
	b := unhex(t, "a4 00 01 01 40 02 62 6162 18 40 03")
	for _, test := range []struct {
		keys []uint64
		want string
	}{
		{nil, "a4 00 01 01 40 02 62 6162 18 40 03"},
		{[]uint64{1, 2}, "a2 00 01 18 40 03"},
		{[]uint64{64, 9}, "a3 00 01 01 40 02 62 6162"},
		{[]uint64{0, 1, 2, 64}, "a0"},
	} {
		got, err := Without(b, test.keys...)
		if err != nil || !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("without %v: %x, %v", test.keys, got, err)
		}
	}
	for _, bad := range []string{"01", "a1 00", "80"} {
		if _, err := Without(unhex(t, bad), 1); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	b := encode(t, full())
	if n := testing.AllocsPerRun(100, func() { _ = Check(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzStrict holds Check against the library: what passes means the same to it,
// and comes out of its canonical encoder as it went in.
func FuzzStrict(f *testing.F) {
	for _, file := range []string{"canonical.txt", "refused.txt"} {
		for _, data := range readVectors(f, file) {
			f.Add(data)
		}
	}
	f.Add(encode(f, full()))
	lenient, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 16}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var typed sample
		extra, err := Unmarshal(data, 1<<16, &typed)
		if err == nil {
			again, err := MarshalExtra(typed, extra)
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("%x became %x: %v", data, again, err)
			}
		}
		if Check(data) != nil {
			if err == nil {
				t.Fatal("decoded without form")
			}
			return
		}
		var v any
		if err := lenient.Unmarshal(data, &v); err != nil {
			t.Fatalf("%x: the library refuses it: %v", data, err)
		}
		again, err := encMode.Marshal(v)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is %x to the library: %v", data, again, err)
		}
	})
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readVectors(t testing.TB, file string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if name, value, ok := strings.Cut(line, "="); ok {
			out[strings.TrimSpace(name)] = unhex(t, strings.TrimSpace(value))
		}
	}
	if len(out) == 0 {
		t.Fatal("no vectors")
	}
	return out
}
