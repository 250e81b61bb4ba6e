// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"

	"chive/directory/record"
)

// Kinds label the signatures. Spec: protocol §11 (VOTE-1).
const (
	voteKind      = "vote"
	proposalKind  = "proposal"
	signatureKind = "signature"
)

// MaxSeatCount is how many seats a committee has at most. Spec: directory §6.
const MaxSeatCount = 96

// statement is a payload under one committee key, as it travels.
type statement struct {
	raw       []byte // [alg, sig, payload]
	payload   []byte
	signature [record.SignatureSize]byte
}

// sign makes a statement. The payload belongs to it afterwards.
func sign(kind string, nid [32]byte, key ed25519.PrivateKey, payload []byte) statement {
	s := record.Sign(kind, nid, key, payload)
	return statement{raw: encodeSigned(&s), payload: payload, signature: [record.SignatureSize]byte(s.Signature)}
}

func encodeSigned(s *record.Signed) []byte {
	return must(s.Encode()) // byte strings always encode
}

// openStatement reads a statement; its signature is not verified. Errors:
// record.ErrSigned, record.ErrAlgorithm, ErrCert, strictcbor's.
func openStatement(data []byte, maxSize int) (statement, error) {
	s, err := record.DecodeSigned(data, maxSize)
	if err != nil {
		return statement{}, err
	}
	if s.Alg != record.AlgEd25519 {
		return statement{}, record.ErrAlgorithm
	}
	if s.Cert != nil {
		return statement{}, ErrCert
	}
	return statement{raw: append([]byte(nil), data...), payload: s.Payload, signature: [record.SignatureSize]byte(s.Signature)}, nil
}

// check returns what a Verifier is asked.
func (s *statement) check(kind string, nid [32]byte, key [32]byte) Check {
	return Check{Key: key, Message: record.SigningInput(kind, nid, s.payload), Signature: s.signature}
}
