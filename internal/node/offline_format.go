// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/strictcbor"
	"chive/link"
)

// The files of a relay whose identity key is kept offline. Each is one PEM block without
// headers, in the one form that this package writes, and holds deterministic CBOR:
//
//	identity.pub     the identity's public key, 32 bytes as they are
//	NAME.request     a signed record (kind "signing request", by the signing key) of: 0 version 1 · 1 network id ·
//	                 2 network's name · 3 identity · 4 made, Unix seconds · 5 signing key · 6 link keys, 31 of 32 bytes
//	NAME.answer      0 version 1 · 1 network id · 2 identity · 3 digest of the request · 4 [key, not-after, signature],
//	                 a cert (DIR-2) · 5 link certificates (LINK-4), for the first of the request's link keys, 2 to 31
//	requested.key    secret: 0 version 1 · 1 network id · 2 network's name · 3 identity · 4 made · 5 seed of the signing
//	                 key · 6 seeds of the link keys, 31 of 32 bytes
//	certified.key    secret: 0 version 1 · 1 answer, without its PEM · 2 seed of the signing key · 3 seeds of the link
//	                 keys, one for each certificate · 4 how many of them are spent, as a bit field of 4 bytes
const (
	offlinePublicFile = "identity.pub"
	requestedFile     = "requested.key"
	certifiedFile     = "certified.key"

	publicBlock    = "CHIVE PUBLIC IDENTITY"
	requestBlock   = "CHIVE SIGNING REQUEST"
	answerBlock    = "CHIVE SIGNING ANSWER"
	requestedBlock = "CHIVE REQUESTED KEYS"
	certifiedBlock = "CHIVE CERTIFIED KEYS"

	linkKeyCount     = 31 // in a request: one a day for 30 days, and one more
	offlineVersion   = 1
	requestKind      = "signing request"
	maxPublicSize    = 256       // bytes of a file, its PEM included
	maxRequestSize   = 4_096     // same
	maxAnswerSize    = 16 * 1024 // same
	maxRequestedSize = 4_096     // same
	maxCertifiedSize = 20 * 1024 // same
)

// errOffline says that bytes are not such a file.
var errOffline = errors.New("node: not such a file, or damaged")

// armour makes a file of a block's bytes.
func armour(block string, data []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: data})
}

// disarm returns the bytes in a file that armour made, or that an editor or a mail has
// given other line ends. Error: errOffline.
func disarm(block string, file []byte, maxSize int) ([]byte, error) {
	if len(file) > maxSize {
		return nil, errOffline
	}
	file = append(bytes.TrimSpace(bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n"))), '\n')
	b, _ := pem.Decode(file)
	if b == nil || b.Type != block || !bytes.Equal(armour(block, b.Bytes), file) {
		return nil, errOffline
	}
	return b.Bytes, nil
}

// encodePublic makes identity.pub.
func encodePublic(identity [32]byte) []byte { return armour(publicBlock, identity[:]) }

// decodePublic reads it. Error: errOffline.
func decodePublic(file []byte) ([32]byte, error) {
	data, err := disarm(publicBlock, file, maxPublicSize)
	if err != nil || record.CheckSigningKey(data) != nil {
		return [32]byte{}, errOffline
	}
	return [32]byte(data), nil
}

// signingRequest is what a relay asks its offline identity to certify.
type signingRequest struct {
	nid      [32]byte
	name     string // of the network
	identity [32]byte
	made     time.Time // whole seconds
	signing  [32]byte
	links    [linkKeyCount][32]byte
	digest   [32]byte // names the request
}

type wireRequest struct {
	Version  uint64   `cbor:"0,keyasint"`
	Network  []byte   `cbor:"1,keyasint"`
	Name     string   `cbor:"2,keyasint"`
	Identity []byte   `cbor:"3,keyasint"`
	Made     uint64   `cbor:"4,keyasint"`
	Signing  []byte   `cbor:"5,keyasint"`
	Links    [][]byte `cbor:"6,keyasint"`
}

// maxSeconds is the year 9999: arithmetic on times does not overflow.
const maxSeconds = 253402300799

// keysOf reads so many keys or seeds.
func keysOf(in [][]byte) (out [linkKeyCount][32]byte, err error) {
	if len(in) != linkKeyCount {
		return out, errOffline
	}
	for i, k := range in {
		if len(k) != 32 {
			return out, errOffline
		}
		out[i] = [32]byte(k)
	}
	return out, nil
}

func slicesOf(keys [][32]byte) [][]byte {
	out := make([][]byte, len(keys))
	for i := range keys {
		out[i] = keys[i][:]
	}
	return out
}

// decodeRequest reads a request, which its own signing key has signed. Error: errOffline.
func decodeRequest(file []byte) (*signingRequest, error) {
	data, err := disarm(requestBlock, file, maxRequestSize)
	if err != nil {
		return nil, err
	}
	signed, err := record.DecodeSigned(data, maxRequestSize)
	if err != nil || signed.Cert != nil {
		return nil, errOffline
	}
	var w wireRequest
	extra, err := strictcbor.Unmarshal(signed.Payload, maxRequestSize, &w)
	if err != nil || extra.Count() > 0 || w.Version != offlineVersion || len(w.Network) != 32 || len(w.Name) == 0 || !nameFits(w.Name) ||
		record.CheckSigningKey(w.Identity) != nil || w.Made > maxSeconds || record.CheckSigningKey(w.Signing) != nil || bytes.Equal(w.Signing, w.Identity) {
		return nil, errOffline
	}
	r := &signingRequest{
		nid: [32]byte(w.Network), name: w.Name, identity: [32]byte(w.Identity), made: time.Unix(int64(w.Made), 0).UTC(),
		signing: [32]byte(w.Signing), digest: record.Hash(requestKind, signed.Payload),
	}
	if r.links, err = keysOf(w.Links); err != nil {
		return nil, err
	}
	for _, k := range r.links {
		if record.CheckExchangeKey(k[:]) != nil {
			return nil, errOffline
		}
	}
	if signed.Verify(requestKind, r.nid, r.signing[:], r.made) != nil {
		return nil, errOffline
	}
	return r, nil
}

// nameFits reports whether a network may be called so.
func nameFits(name string) bool {
	if len(name) > genesis.MaxNameSize {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// fingerprint is a digest as two people compare it.
func fingerprint(digest [32]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", digest[:2], digest[2:4], digest[4:6], digest[6:8], digest[8:10])
}

// signingAnswer is what an offline identity has certified.
type signingAnswer struct {
	nid          [32]byte
	identity     [32]byte
	request      [32]byte // its digest
	cert         record.Cert
	certificates [][]byte // of link keys, in the order of the request
}

type wireAnswer struct {
	Version      uint64         `cbor:"0,keyasint"`
	Network      []byte         `cbor:"1,keyasint"`
	Identity     []byte         `cbor:"2,keyasint"`
	Request      []byte         `cbor:"3,keyasint"`
	Cert         wireAnswerCert `cbor:"4,keyasint"`
	Certificates [][]byte       `cbor:"5,keyasint"`
}

type wireAnswerCert struct {
	_         struct{} `cbor:",toarray"`
	Key       []byte
	NotAfter  uint64
	Signature []byte
}

// pack returns the answer's CBOR.
func (a *signingAnswer) pack() ([]byte, error) {
	return strictcbor.Marshal(wireAnswer{
		Version: offlineVersion, Network: a.nid[:], Identity: a.identity[:], Request: a.request[:],
		Cert:         wireAnswerCert{Key: a.cert.Key, NotAfter: uint64(max(0, a.cert.NotAfter.Unix())), Signature: a.cert.Signature},
		Certificates: a.certificates,
	})
}

// unpackAnswer reads it; signatures are not verified. Error: errOffline.
func unpackAnswer(data []byte) (*signingAnswer, error) {
	var w wireAnswer
	extra, err := strictcbor.Unmarshal(data, maxAnswerSize, &w)
	if err != nil || extra.Count() > 0 || w.Version != offlineVersion || len(w.Network) != 32 || record.CheckSigningKey(w.Identity) != nil ||
		len(w.Request) != 32 || record.CheckSigningKey(w.Cert.Key) != nil || w.Cert.NotAfter > maxSeconds ||
		len(w.Cert.Signature) != ed25519.SignatureSize || len(w.Certificates) < 2 || len(w.Certificates) > linkKeyCount {
		return nil, errOffline
	}
	for _, c := range w.Certificates {
		if len(c) == 0 || len(c) > link.MaxCertificateSize {
			return nil, errOffline
		}
	}
	return &signingAnswer{
		nid: [32]byte(w.Network), identity: [32]byte(w.Identity), request: [32]byte(w.Request), certificates: w.Certificates,
		cert: record.Cert{Key: w.Cert.Key, NotAfter: time.Unix(int64(w.Cert.NotAfter), 0).UTC(), Signature: w.Cert.Signature},
	}, nil
}

// decodeAnswer reads an answer's file; signatures are not verified. Error: errOffline.
func decodeAnswer(file []byte) (*signingAnswer, error) {
	data, err := disarm(answerBlock, file, maxAnswerSize)
	if err != nil {
		return nil, err
	}
	return unpackAnswer(data)
}

// certHolds reports whether the identity has certified the signing key, whatever the time.
func (a *signingAnswer) certHolds() bool {
	// A record that the identity has not signed, an instant before the certificate's end:
	// only what is said of the certificate counts.
	s := record.Signed{Alg: record.AlgEd25519, Signature: make([]byte, ed25519.SignatureSize), Cert: &a.cert}
	return errors.Is(s.Verify(requestKind, a.nid, a.identity[:], a.cert.NotAfter.Add(-time.Second)), record.ErrSignature)
}

// requestedKeys are the secret halves of a request that waits for its answer.
type requestedKeys struct {
	nid      [32]byte
	name     string
	identity [32]byte
	made     time.Time
	signing  [32]byte // seed
	links    [linkKeyCount][32]byte
}

// Format prints nothing of the keys, whatever the verb (KEY-5).
func (k *requestedKeys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("keys(redacted)")) }

func (k *requestedKeys) wipe() {
	if k != nil {
		clear(k.signing[:])
		clear(k.links[:])
	}
}

// encode returns the file's bytes, which the caller wipes.
func (k *requestedKeys) encode() ([]byte, error) {
	data, err := strictcbor.Marshal(wireRequest{
		Version: offlineVersion, Network: k.nid[:], Name: k.name, Identity: k.identity[:], Made: uint64(max(0, k.made.Unix())),
		Signing: k.signing[:], Links: slicesOf(k.links[:]),
	})
	defer clear(data)
	return armour(requestedBlock, data), err
}

// decodeRequested reads it. Error: errOffline.
func decodeRequested(file []byte) (*requestedKeys, error) {
	data, err := disarm(requestedBlock, file, maxRequestedSize)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	var w wireRequest
	extra, err := strictcbor.Unmarshal(data, maxRequestedSize, &w)
	if err != nil || extra.Count() > 0 || w.Version != offlineVersion || len(w.Network) != 32 || len(w.Name) == 0 || !nameFits(w.Name) ||
		record.CheckSigningKey(w.Identity) != nil || w.Made > maxSeconds || len(w.Signing) != 32 {
		return nil, errOffline
	}
	k := &requestedKeys{
		nid: [32]byte(w.Network), name: w.Name, identity: [32]byte(w.Identity), made: time.Unix(int64(w.Made), 0).UTC(), signing: [32]byte(w.Signing),
	}
	k.links, err = keysOf(w.Links)
	for _, s := range append(w.Links, w.Signing) {
		clear(s)
	}
	return k, err
}

// publicLink is the public half of a link key.
func publicLink(seed *[32]byte) ([32]byte, error) {
	k, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return [32]byte{}, errOffline
	}
	return [32]byte(k.PublicKey().Bytes()), nil
}

// payload is what the request says, which the signing key signs.
func (k *requestedKeys) payload() ([]byte, ed25519.PrivateKey, error) {
	key := ed25519.NewKeyFromSeed(k.signing[:])
	var links [linkKeyCount][32]byte
	for i := range k.links {
		var err error
		if links[i], err = publicLink(&k.links[i]); err != nil {
			return nil, key, err
		}
	}
	data, err := strictcbor.Marshal(wireRequest{
		Version: offlineVersion, Network: k.nid[:], Name: k.name, Identity: k.identity[:], Made: uint64(max(0, k.made.Unix())),
		Signing: key.Public().(ed25519.PublicKey), Links: slicesOf(links[:]),
	})
	return data, key, err
}

// request returns the file with the public halves, the same each time.
func (k *requestedKeys) request() ([]byte, error) {
	payload, key, err := k.payload()
	defer clear(key)
	if err != nil {
		return nil, err
	}
	signed := record.Sign(requestKind, k.nid, key, payload)
	data, err := signed.Encode()
	return armour(requestBlock, data), err
}

// digest names the request.
func (k *requestedKeys) digest() ([32]byte, error) {
	payload, key, err := k.payload()
	clear(key)
	return record.Hash(requestKind, payload), err
}
