// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"encoding/binary"
	"errors"

	"chive/directory/record"
)

// Kind is what a member promises to do once per epoch.
type Kind uint8

// Kinds of promises, in the order of a memory.
const (
	KindVote Kind = iota
	KindProposal
	KindSignature
	kindCount
)

// Mark is the latest epoch in which a member did a thing, and the digest of what it
// did: item digest of a vote or proposal, header digest of what was signed. The zero
// value: never. Nothing is ever done for epoch 0.
type Mark struct {
	Epoch  uint64
	Digest [32]byte
}

// Memory is what must survive a crash: whoever has signed for an epoch never signs
// anything else for it. Spec: directory §6 (4), §10.
type Memory [kindCount]Mark

// memorySize is the size of an encoded memory in bytes: version 1 | network 32 | rid
// 16 | kinds x (epoch 8 | digest 32) | check 32.
const memorySize = 1 + 32 + record.RIDSize + int(kindCount)*40 + 32

// ErrMemory means bytes that are not the memory of this relay in this network.
var ErrMemory = errors.New("vote: unreadable memory")

// Encode returns the bytes to be stored for the relay.
func (m *Memory) Encode(nid [32]byte, rid record.RID) []byte {
	out := make([]byte, 0, memorySize)
	out = append(append(append(out, Version), nid[:]...), rid[:]...)
	for i := range m {
		out = append(binary.BigEndian.AppendUint64(out, m[i].Epoch), m[i].Digest[:]...)
	}
	sum := record.Hash("memory", out)
	return append(out, sum[:]...)
}

// DecodeMemory reads what Encode wrote for the same relay. Error: ErrMemory.
func DecodeMemory(data []byte, nid [32]byte, rid record.RID) (Memory, error) {
	var m Memory
	if len(data) != memorySize {
		return m, ErrMemory
	}
	body, sum := data[:memorySize-32], [32]byte(data[memorySize-32:])
	if body[0] != Version || [32]byte(body[1:]) != nid || record.RID(body[33:]) != rid || record.Hash("memory", body) != sum {
		return m, ErrMemory
	}
	body = body[1+32+record.RIDSize:]
	for i := range m {
		m[i] = Mark{Epoch: binary.BigEndian.Uint64(body[40*i:]), Digest: [32]byte(body[40*i+8:])}
	}
	return m, nil
}

// allows says whether something may be done for an epoch: not yet, or this very
// thing already, which may be said again.
func (m *Memory) allows(k Kind, epoch uint64, digest [32]byte) (may, done bool) {
	switch mark := m[k]; {
	case epoch > mark.Epoch:
		return true, false
	case epoch == mark.Epoch && digest == mark.Digest:
		return true, true
	}
	return false, false
}
