// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// tableOf makes a table of so many made-up relays, as different from each other as those
// of a network that has grown: half with IPv6, ages over a year, a network for each two,
// a family for each ten, some policies.
func tableOf(t testing.TB, count int) *snapshot.Table {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(count)))
	d := &snapshot.Dictionaries{}
	networks := map[uint16]uint16{}
	for i := range max(1, count/10) {
		h := number(1_000_000 + i)
		d.Families = append(d.Families, h[:])
	}
	for i := range 20 {
		d.Policies = append(d.Policies, []record.PortRange{{Protocol: record.TCP, First: 80, Last: 443 + uint16(i)}})
	}
	leaves := make([]snapshot.Leaf, count)
	for i := range leaves {
		h := number(i)
		l := &leaves[i]
		l.RID, l.Onion = record.RID(h[:16]), sha256.Sum256(h[:])
		network := uint16(sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(r.IntN(max(1, count/2)))))[0])<<8 | uint16(r.IntN(40))
		four := netip.AddrFrom4([4]byte{20 + byte(network>>8)%180, byte(network), h[2], h[3]})
		l.IPv4 = netip.AddrPortFrom(four, 9240)
		if r.IntN(3) == 0 {
			l.IPv4 = netip.AddrPortFrom(four, uint16(1024+r.IntN(60000)))
		}
		l.Flags = snapshot.FlagRunning | snapshot.Flags(r.IntN(8)&^2)
		if r.IntN(2) == 0 {
			six := [16]byte{0x26, h[4] & 15, h[5], h[6], h[7]}
			copy(six[8:], h[8:16])
			l.IPv6 = netip.AddrPortFrom(netip.AddrFrom16(six), l.IPv4.Port())
			l.Flags |= snapshot.FlagIPv6
		}
		if r.IntN(3) == 0 {
			l.Flags, l.Policy = l.Flags|snapshot.FlagExit, uint8(1+r.IntN(20))
		}
		group, known := networks[network]
		if !known {
			group = uint16(len(networks))
			networks[network] = group
			d.Groups = append(d.Groups, snapshot.GroupOf(l.IPv4, l.IPv6))
		}
		l.Group = group
		if r.IntN(3) == 0 {
			l.Family = uint16(1 + r.IntN(len(d.Families)))
		}
		l.Bucket, l.BirthDay, l.Protocol = uint8(36+r.IntN(22)), uint16(r.IntN(400)), 1
	}
	slices.SortFunc(leaves, func(a, b snapshot.Leaf) int { return a.RID.Compare(b.RID) })
	table, err := snapshot.NewTable(leaves, d)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Tiles come back as they went, in columns where that is smaller. 66 bytes a relay is
// what the design found. Spec: SYNC-3.
func TestTilesRoundTrip(t *testing.T) {
	z, u := newPacker(), newUnpacker()
	for _, count := range []int{1, 2, 3, 10, 100, 1023, 1024, 1025, 2500} {
		table := tableOf(t, count)
		total, raw := 0, 0
		for n, root := range table.TileRoots() {
			tile := packTile(z, table, n)
			leaves, err := openTile(u, tile, root)
			if err != nil || len(leaves) != min(1024, count-n*1024) {
				t.Fatalf("%d relays, tile %d: %v", count, n, err)
			}
			for i := range leaves {
				if leaves[i] != table.At(n*1024+i).Leaf {
					t.Fatalf("%d relays: leaf %d", count, n*1024+i)
				}
			}
			if len(tile) > maxTileSize || len(tile) > 1+len(table.Tile(n)) {
				t.Errorf("%d relays: a tile of %d bytes", count, len(tile))
			}
			total, raw = total+len(tile), raw+len(table.Tile(n))
		}
		t.Logf("%d relays: %.1f bytes each, raw %.1f", count, float64(total)/float64(count), float64(raw)/float64(count))
		if count >= 1000 && total > 68*count {
			t.Errorf("%d relays take %d bytes", count, total)
		}
	}
}

func TestTilesOfOthersAreRefused(t *testing.T) {
	z, u := newPacker(), newUnpacker()
	table := tableOf(t, 1100)
	root := table.TileRoots()[1]
	good := packTile(z, table, 1)
	if good[0] != tileColumns {
		t.Fatal("a tile is not in columns")
	}
	for n := range good {
		if _, err := openTile(u, good[:n], root); !errors.Is(err, ErrAnswer) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	raw := append([]byte{packedRaw}, table.Tile(1)...)
	if _, err := openTile(u, raw, root); err != nil {
		t.Errorf("raw: %v", err)
	}
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 0x41
		return b
	}
	for name, tile := range map[string][]byte{
		"empty": nil, "only a head": {tileColumns}, "another form": flip(0), "more leaves": flip(1), "fewer leaves": flip(2), "a column packed otherwise": flip(3),
		"a column of another size": flip(5), "another": packTile(z, table, 0), "a byte more": append(bytes.Clone(good), 0),
		"raw, cut": raw[:len(raw)-1], "too long": make([]byte, maxTileSize+1),
	} {
		if _, err := openTile(u, tile, root); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := &snapshot.Header{LeafCount: 1100, DirRoot: table.DirRoot()}
	roots := table.TileRoots()
	if !CheckRoots(h, roots) || CheckRoots(h, roots[:1]) || CheckRoots(h, nil) || CheckRoots(h, [][32]byte{roots[1], roots[0]}) {
		t.Error("roots of another table are accepted, or ours are not")
	}
}

// What claims to be small and is not is refused before it is unpacked, and so is all that
// is not one frame within the limits. Spec: SYNC-2.
func TestBombs(t *testing.T) {
	z, u := newPacker(), newUnpacker()
	zeros := make([]byte, 4<<20)
	bomb := z.frame(zeros)
	if len(bomb) > 1000 {
		t.Fatalf("a frame of zeros has %d bytes", len(bomb))
	}
	claim := func(size uint32, frame []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{packedZstd}, size), frame...)
	}
	if out, err := u.unpack(claim(4<<20, bomb), 4<<20); err != nil || !bytes.Equal(out, zeros) {
		t.Fatalf("at the bound: %v", err)
	}
	wide := must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20), zstd.WithSingleSegment(false))).EncodeAll(zeros, nil)
	var unsized bytes.Buffer
	w := must(zstd.NewWriter(&unsized, zstd.WithEncoderConcurrency(1)))
	_, _ = w.Write(zeros)
	_ = w.Close()
	small := z.frame(make([]byte, 300))
	lying := bytes.Clone(small)
	lying[6] ^= 1 // of the size that it announces
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, small...)
	for name, p := range map[string][]byte{
		"nothing": nil, "another form": {2, 0, 0, 0, 0}, "half a size": {packedZstd, 0, 0}, "no frame": claim(0, nil), "not a frame": claim(3, []byte{1, 2, 3}),
		"beyond what may be": claim(4<<20+1, bomb), "a size that the frame does not announce": claim(100, bomb), "a larger window": claim(4<<20, wide),
		"a frame without its size": claim(100, unsized.Bytes()), "two frames": claim(300, append(bytes.Clone(small), small...)),
		"a frame and a bomb": claim(300, append(bytes.Clone(small), bomb...)), "a frame that lies": claim(301, lying), "skippable": claim(300, skippable),
		"a byte more": claim(300, append(bytes.Clone(small), 0)), "raw, too long": make([]byte, 4<<20+2),
	} {
		if _, err := u.unpack(p, 4<<20); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	packed := claim(300, small)
	for n := range packed {
		if _, err := u.unpack(packed[:n], 4<<20); !errors.Is(err, ErrAnswer) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, zeros[:5000], number2(5000)} {
		out, err := u.unpack(z.pack(b), 5000)
		if err != nil || !bytes.Equal(out, b) || len(z.pack(b)) > 1+len(b) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	// In a tile a column may not be longer than its leaves make it.
	table := tableOf(t, 1)
	column := binary.BigEndian.AppendUint16([]byte{tileColumns, 0, 0, packedZstd}, uint16(len(bomb)))
	if _, err := openTile(u, append(column, bomb...), table.DirRoot()); !errors.Is(err, ErrAnswer) {
		t.Errorf("a bomb in a tile: %v", err)
	}
}

// number2 returns bytes that do not compress.
func number2(size int) (out []byte) {
	for i := 0; len(out) < size; i++ {
		h := number(i)
		out = append(out, h[:]...)
	}
	return out[:size]
}

// The bytes of a tile in columns. What zstd makes may differ between its versions, so
// that only what must be read is fixed: columns as they are.
func TestTileVectors(t *testing.T) {
	table := tableOf(t, 2)
	tile := packTile(newPacker(), table, 0)
	columns := []byte{tileColumns, 0, 1}
	var all [len(columnWidths)][]byte
	for c, w := range columnWidths {
		for b := range w {
			for i := range 2 {
				l := &table.At(i).Leaf
				if (c == columnSix || c == columnSixPort) && !l.IPv6.IsValid() {
					continue
				}
				all[c] = append(all[c], values(l)[c][b])
			}
		}
		columns = binary.BigEndian.AppendUint16(append(columns, packedRaw), uint16(len(all[c])))
		columns = append(columns, all[c]...)
	}
	if _, err := openTile(newUnpacker(), columns, table.DirRoot()); err != nil {
		t.Errorf("columns as they are: %v", err)
	}
	root := table.DirRoot()
	golden(t, "tile.txt", "A tile of two leaves, as it is and in columns that are not compressed. Spec: protocol §7 (SYNC-3).\n", [][2]string{
		{"root", hex.EncodeToString(root[:])}, {"raw", "00" + hex.EncodeToString(table.Tile(0))}, {"columns", hex.EncodeToString(columns)},
	})
	_ = tile
}

func FuzzTile(f *testing.F) {
	z := newPacker()
	for _, count := range []int{1, 2, 50} {
		table := tableOf(f, count)
		f.Add(packTile(z, table, 0))
		f.Add(append([]byte{packedRaw}, table.Tile(0)...))
	}
	u := newUnpacker()
	f.Fuzz(func(t *testing.T, data []byte) {
		raw, err := rawTile(u, data)
		if err != nil {
			return
		}
		if len(raw) > maxTileSize {
			t.Fatalf("%d bytes", len(raw))
		}
		leaves, err := snapshot.ParseTiles([][]byte{raw})
		if err != nil || len(leaves) == 0 {
			return
		}
		var again []byte
		for i := range leaves {
			size := byte(snapshot.LeafSize)
			if leaves[i].IPv6.IsValid() {
				size = snapshot.LeafSizeV6
			}
			again = leaves[i].Append(append(again, size))
		}
		if !bytes.Equal(again, raw) {
			t.Fatal("leaves are not what the tile said")
		}
	})
}

func FuzzPacked(f *testing.F) {
	z, u := newPacker(), newUnpacker()
	f.Add(z.pack(make([]byte, 5000)))
	f.Add(z.pack([]byte("diff")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := u.unpack(data, 1<<16); err == nil && len(out) > 1<<16 {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
