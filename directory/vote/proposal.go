// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vrf"
	"chive/internal/strictcbor"
)

// Bounds of a proposal in bytes. Spec: directory §3 (class P), protocol §11 (VOTE-3).
const (
	MaxProposalSize   = 4 << 10
	maxProposalSigned = 384
)

// ErrProposal means bytes that are not a proposal, or one whose parts are not about
// the same.
var ErrProposal = errors.New("vote: not a proposal")

// Proposal is a header with the votes that it follows from. It is immutable.
type Proposal struct {
	Header *snapshot.Header // carries epoch, parent, proposer's seat, proof and votes digest
	Voters Seats            // whose votes are listed
	Votes  [][32]byte       // item digests of the votes, by rising seat

	raw    []byte // the header's bytes
	header [32]byte
	signed statement
	digest [32]byte
}

type wireProposal struct {
	Version uint64 `cbor:"0,keyasint"`
	Epoch   uint64 `cbor:"1,keyasint"`
	Parent  []byte `cbor:"2,keyasint"`
	Seat    uint8  `cbor:"3,keyasint"`
	Header  []byte `cbor:"4,keyasint"`
	Proof   []byte `cbor:"5,keyasint"`
	Votes   []byte `cbor:"6,keyasint"`
}

type wireProposalItem struct {
	_      struct{} `cbor:",toarray"`
	Signed []byte
	Header []byte
	Voters []byte
	Votes  []byte
}

// VotesDigest is how headers name the votes that they follow from: H("votes",
// seats, digests). Spec: protocol §11 (VOTE-3).
func VotesDigest(voters Seats, votes [][32]byte) [32]byte {
	return record.Hash("votes", record.Sized(voters), record.Sized(join(votes)))
}

func join(digests [][32]byte) []byte {
	out := make([]byte, 0, 32*len(digests))
	for i := range digests {
		out = append(out, digests[i][:]...)
	}
	return out
}

// ProposeInput is what a proposer's VRF is over: the bytes "chive propose v1" | nid
// | epoch | the parent's beacon. Spec: directory §6 (3), protocol §12 (EPOCH-5).
func ProposeInput(nid [32]byte, epoch uint64, beacon [32]byte) []byte {
	return record.SigningInput("propose", nid, append(binary.BigEndian.AppendUint64(nil, epoch), beacon[:]...))
}

// headerDigest is Header.Digest of the header's bytes.
func headerDigest(raw []byte) [32]byte { return record.Hash("header", record.Sized(raw)) }

// NewProposal signs a proposal with the committee key of the header's proposer
// seat. The arguments belong to the proposal afterwards. Errors: ErrSeat;
// ErrProposal when they do not fit together or are too large.
func NewProposal(nid [32]byte, key ed25519.PrivateKey, h *snapshot.Header, voters Seats, votes [][32]byte) (*Proposal, error) {
	if h.ProposerSeat >= MaxSeatCount {
		return nil, ErrSeat
	}
	raw := h.Encode()
	digest := headerDigest(raw)
	payload := marshal(wireProposal{
		Version: Version, Epoch: h.Epoch, Parent: h.Parent[:], Seat: uint8(h.ProposerSeat),
		Header: digest[:], Proof: h.VRFProof[:], Votes: h.VotesDigest[:],
	})
	p := &Proposal{
		Header: h, Voters: voters, Votes: votes, raw: raw, header: digest,
		signed: sign(proposalKind, nid, key, payload), digest: record.ItemDigest(record.ClassProposal, payload),
	}
	if !voters.inBounds(len(votes)) || VotesDigest(voters, votes) != h.VotesDigest || len(p.Encode()) > MaxProposalSize {
		return nil, ErrProposal
	}
	return p, nil
}

// Encode returns the item: what is signed, the header, and the votes by name.
func (p *Proposal) Encode() []byte {
	return marshal(wireProposalItem{Signed: p.signed.raw, Header: p.raw, Voters: p.Voters, Votes: join(p.Votes)})
}

// Digest names the item.
func (p *Proposal) Digest() [32]byte { return p.digest }

// HeaderDigest is what signatures for this proposal are over.
func (p *Proposal) HeaderDigest() [32]byte { return p.header }

// Seat is the proposer's.
func (p *Proposal) Seat() int { return int(p.Header.ProposerSeat) }

// Signed returns what is signed, for evidence. It must not be changed.
func (p *Proposal) Signed() []byte { return p.signed.raw }

// Check returns what is to be verified under the key of the proposer's seat.
func (p *Proposal) Check(nid, key [32]byte) Check { return p.signed.check(proposalKind, nid, key) }

// Output verifies the proof under the VRF key of the proposer's seat and returns
// its output, by which proposals are ordered. Errors: vrf's.
func (p *Proposal) Output(nid [32]byte, key [32]byte, beacon [32]byte, v Verifier) ([vrf.OutputSize]byte, error) {
	return v.Proof(key, ProposeInput(nid, p.Header.Epoch, beacon), p.Header.VRFProof)
}

// DecodeProposal reads an item; signature and proof are not verified. The result
// does not share memory with data. Errors: ErrProposal, ErrSeat, ErrCert, those of
// signed records, headers and strictcbor.
func DecodeProposal(data []byte) (*Proposal, error) {
	var w wireProposalItem
	if _, err := strictcbor.Unmarshal(data, MaxProposalSize, &w); err != nil {
		return nil, err
	}
	s, err := openStatement(w.Signed, maxProposalSigned)
	if err != nil {
		return nil, err
	}
	said, err := openProposal(s.payload)
	if err != nil {
		return nil, err
	}
	h, err := snapshot.DecodeHeader(w.Header)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Header: h, Voters: w.Voters, raw: w.Header, header: headerDigest(w.Header), signed: s, digest: said.digest}
	if p.Votes, err = cut32(w.Votes); err != nil || !p.Voters.inBounds(len(p.Votes)) {
		return nil, ErrProposal
	}
	if said.epoch != h.Epoch || said.parent != h.Parent || said.seat != h.ProposerSeat || said.header != p.header ||
		said.proof != h.VRFProof || said.votes != h.VotesDigest || said.votes != VotesDigest(p.Voters, p.Votes) {
		return nil, ErrProposal
	}
	return p, nil
}

// proposalSaid is what a proposer signs.
type proposalSaid struct {
	epoch, seat           uint64
	parent, header, votes [32]byte
	proof                 [vrf.ProofSize]byte
	digest                [32]byte
}

func openProposal(payload []byte) (*proposalSaid, error) {
	var w wireProposal
	if _, err := strictcbor.Unmarshal(payload, maxProposalSigned, &w); err != nil {
		return nil, err
	}
	if w.Version != Version || len(w.Parent) != 32 || len(w.Header) != 32 || len(w.Proof) != vrf.ProofSize || len(w.Votes) != 32 {
		return nil, ErrProposal
	}
	if w.Seat >= MaxSeatCount {
		return nil, ErrSeat
	}
	return &proposalSaid{
		epoch: w.Epoch, seat: uint64(w.Seat), parent: [32]byte(w.Parent), header: [32]byte(w.Header), votes: [32]byte(w.Votes),
		proof: [vrf.ProofSize]byte(w.Proof), digest: record.ItemDigest(record.ClassProposal, payload),
	}, nil
}

// cut32 cuts bytes into digests, as many as there are seats at most. Error:
// ErrProposal.
func cut32(data []byte) ([][32]byte, error) {
	if len(data)%32 != 0 || len(data) > 32*MaxSeatCount {
		return nil, ErrProposal
	}
	out := make([][32]byte, len(data)/32)
	for i := range out {
		out[i] = [32]byte(data[32*i:])
	}
	return out, nil
}
