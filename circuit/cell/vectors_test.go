// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// vectors returns the lines of the golden file: one message a line, header and
// body as they stand in a payload.
func vectors(t testing.TB) string {
	var b strings.Builder
	b.WriteString("# Relay messages, header and body, as they stand in a payload. Stream 0x0102.\n")
	b.WriteString("# A changed line is a change of the protocol. Spec: protocol §5.\n")
	for _, s := range samples() {
		p := pack(Message{Type: s.kind, Stream: 0x0102, Body: s.body(t)})
		fmt.Fprintf(&b, "%s = %s\n", s.name, hex.EncodeToString(p))
	}
	fmt.Fprintf(&b, "begin_dir = %s\n", hex.EncodeToString(pack(Message{Type: TypeBeginDir, Stream: 0x0102})))
	fmt.Fprintf(&b, "data = %s\n", hex.EncodeToString(pack(Message{Type: TypeData, Stream: 0x0102, Body: []byte("data")})))
	for i, m := range pieces(t, typeIntroduce1, 0, filled(MaxBody+1, 0x1D)) {
		fmt.Fprintf(&b, "fragment_%d = %s\n", i+1, hex.EncodeToString(pack(m)))
	}
	return b.String()
}

func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "vectors", "messages.txt")
	got := vectors(t)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(string(golden), "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("line %d differs", i+1)
		}
	}
}

// vectorBodies reads the golden file back: messages for fuzz targets.
func vectorBodies(t testing.TB) [][]byte {
	golden, err := os.ReadFile(filepath.Join("testdata", "vectors", "messages.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for line := range strings.Lines(string(golden)) {
		_, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		b, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func TestVectorsDecode(t *testing.T) {
	for i, b := range vectorBodies(t) {
		m, rest, ok, err := Next(b)
		if err != nil || !ok || len(rest) != 0 {
			t.Fatalf("vector %d is not one message: %v", i, err)
		}
		if c, ok := codecOf(m.Type); ok {
			if _, err := c.decode(m.Body); err != nil {
				t.Errorf("vector %d, %s: %v", i, c.name, err)
			}
		}
	}
}
