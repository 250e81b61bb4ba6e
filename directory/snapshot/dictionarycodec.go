// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"

	"chive/directory/record"
)

// MaxDictionariesSize bounds encoded dictionaries in bytes: every index taken, by
// values of the largest size.
const MaxDictionariesSize = 3*4 + MaxGroupCount*(1+groupSizeV6) + MaxFamilyCount*(1+record.KeySize) +
	MaxPolicyCount*(1+record.MaxPolicyCount*record.PortRangeSize)

// Sizes of a group in bytes.
const (
	groupSizeV4 = 3
	groupSizeV6 = 5
)

// ErrDictionaries means bytes that are no dictionaries.
var ErrDictionaries = errors.New("snapshot: not dictionaries")

// Encode returns the dictionaries' bytes: for groups, families and policies the
// number of indices in 4 bytes, then by index each value behind its size in one
// byte, 0 for a free one. Spec: directory §8 (DICT), protocol §7 (TRN-2).
func (d *Dictionaries) Encode() []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(d.Groups)))
	for _, g := range d.Groups {
		out = append(append(out, byte(len(g))), g...)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(d.Families)))
	for _, f := range d.Families {
		out = append(append(out, byte(len(f))), f...)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(d.Policies)))
	for _, p := range d.Policies {
		b := record.EncodePolicy(p)
		out = append(append(out, byte(len(b))), b...)
	}
	return out
}

// DecodeDictionaries reads what Encode wrote. The result does not share memory
// with data. Whether a table points at all of it is for others to check.
// Error: ErrDictionaries.
func DecodeDictionaries(data []byte) (*Dictionaries, error) {
	if len(data) > MaxDictionariesSize {
		return nil, ErrDictionaries
	}
	d := &Dictionaries{}
	for _, part := range []struct {
		most int
		add  func(value []byte) bool
	}{{MaxGroupCount, d.addGroup}, {MaxFamilyCount, d.addFamily}, {MaxPolicyCount, d.addPolicy}} {
		if len(data) < 4 {
			return nil, ErrDictionaries
		}
		count := binary.BigEndian.Uint32(data)
		data = data[4:]
		if count > uint32(part.most) || int(count) > len(data) {
			return nil, ErrDictionaries
		}
		for i := range count {
			if len(data) == 0 || len(data) < 1+int(data[0]) {
				return nil, ErrDictionaries
			}
			value := data[1 : 1+int(data[0])]
			data = data[1+len(value):]
			if (len(value) == 0 && i == count-1) || !part.add(value) {
				return nil, ErrDictionaries
			}
		}
	}
	if len(data) != 0 {
		return nil, ErrDictionaries
	}
	return d, nil
}

func (d *Dictionaries) addGroup(value []byte) bool {
	d.Groups = append(d.Groups, Group(value))
	return len(value) == 0 || Group(value).valid()
}

func (d *Dictionaries) addFamily(value []byte) bool {
	if len(value) == 0 {
		d.Families = append(d.Families, nil)
		return true
	}
	d.Families = append(d.Families, append(ed25519.PublicKey{}, value...))
	return len(value) == record.KeySize
}

func (d *Dictionaries) addPolicy(value []byte) bool {
	p, err := record.DecodePolicy(value)
	d.Policies = append(d.Policies, p)
	return err == nil
}

// valid reports whether a group has one of its two forms.
func (g Group) valid() bool {
	return (len(g) == groupSizeV4 && g[0] == 4) || (len(g) == groupSizeV6 && g[0] == 6)
}

// inBounds reports whether no dictionary is larger than the indices of a leaf
// reach, and none ends with a free index.
func (d *Dictionaries) inBounds() bool {
	g, f, p := len(d.Groups), len(d.Families), len(d.Policies)
	return g <= MaxGroupCount && f <= MaxFamilyCount && p <= MaxPolicyCount &&
		(g == 0 || d.Groups[g-1] != "") && (f == 0 || d.Families[f-1] != nil) && (p == 0 || d.Policies[p-1] != nil)
}

// holds reports whether a leaf points at entries that are there.
func (d *Dictionaries) holds(l *Leaf) bool {
	return int(l.Group) < len(d.Groups) && d.Groups[l.Group] != "" &&
		int(l.Family) <= len(d.Families) && (l.Family == 0 || d.Families[l.Family-1] != nil) &&
		int(l.Policy) <= len(d.Policies) && (l.Policy == 0 || d.Policies[l.Policy-1] != nil)
}
