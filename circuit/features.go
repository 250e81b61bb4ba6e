// SPDX-License-Identifier: BSD-3-Clause

package circuit

import "chive/circuit/handshake"

// featureSet is what CM offers and SM accepts:
//
//	version 1 | count 1 | count x feature 1, zero-padded
//
// An end accepts only what was offered. Spec: protocol §4.
type featureSet []byte

// featureWindow is the congestion window with authenticated acknowledgements.
// This version requires it.
const featureWindow = 1

const featureVersion = 1

var features = featureSet{featureWindow}

func (f featureSet) encode() (m [handshake.MessageSize]byte) {
	m[0], m[1] = featureVersion, byte(len(f))
	copy(m[2:], f)
	return m
}

// accepts reports whether the relay's answer takes exactly what this version
// needs and nothing that was not offered.
func (f featureSet) accepts(sm *[handshake.MessageSize]byte) bool { return *sm == f.encode() }

// Negotiate is a relay's answer to a client's message: the features of both. A
// message of another version gets an empty answer, which the client refuses.
func Negotiate(cm *[handshake.MessageSize]byte) (sm [handshake.MessageSize]byte) {
	sm[0] = featureVersion
	if cm[0] != featureVersion || int(cm[1]) > handshake.MessageSize-2 {
		return sm
	}
	for _, id := range cm[2 : 2+int(cm[1])] {
		if id == featureWindow && sm[1] == 0 {
			sm[1], sm[2] = 1, id
		}
	}
	return sm
}
