// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"

	"chive/internal/strictcbor"
)

// BodyDigest names what a descriptor says apart from when it says it: H over the
// payload without keys 2, 3 and 4. Error: strictcbor.ErrForm.
// Spec: directory §3 (body digest).
func BodyDigest(payload []byte) ([32]byte, error) {
	body, err := strictcbor.Without(payload, 2, 3, 4)
	if err != nil {
		return [32]byte{}, err
	}
	return Hash("body", Sized(body)), nil
}

// ItemDigest names a record: H("item", class, payload). A second signature on the
// same payload is the same item. Spec: directory §1.
func ItemDigest(class byte, payload []byte) [32]byte {
	return Hash("item", []byte{class}, Sized(payload))
}

// Newer decides between two descriptors of one relay, given as payload and seq.
// The higher seq wins. Of two different payloads with one seq the lower item
// digest is used by all, and conflict says that both together are evidence.
// Spec: directory §3 (order).
func Newer(oldSeq uint64, oldPayload []byte, newSeq uint64, newPayload []byte) (useNew, conflict bool) {
	if oldSeq != newSeq {
		return newSeq > oldSeq, false
	}
	if bytes.Equal(oldPayload, newPayload) {
		return false, false
	}
	o, n := ItemDigest(ClassDescriptor, oldPayload), ItemDigest(ClassDescriptor, newPayload)
	return bytes.Compare(n[:], o[:]) < 0, true
}
