// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"io"
	"time"
)

// RotatedOnion is an onion key that was replaced before its time.
type RotatedOnion struct {
	Current string // public, hexadecimal: clients use it from the next list on
	Before  string // same: answered to until the list does not name it and the overlap is over
}

// RotateOnion makes the successor of the onion key in use the current one, and another
// successor. The relay must be stopped; its next descriptor says the new ones. The key of
// before stays for clients whose list names it, and is erased by the running relay as any
// other. It does so once: keys that are answered to are few. Spec: security KEY-3.
func (s *State) RotateOnion(rand io.Reader, now time.Time) (*RotatedOnion, error) {
	if err := s.needKeys(); err != nil {
		return nil, err
	}
	if err := s.Lock(); err != nil {
		return nil, err
	}
	if err := s.finishErasing(); err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	r := s.newRing(keys, rand)
	defer r.wipe()
	was := r.onion.current()
	if was+1 < len(r.onion) {
		return nil, fault(Denied, "onion_rotated", "Start the relay; it erases the older key when clients do not need it any more. Then rotate again, if there is still a reason.",
			"The onion key was replaced lately: clients may still use the one before")
	}
	before, err := r.onion[was].public()
	if err != nil {
		return nil, err
	}
	now = now.UTC().Truncate(time.Second)
	if err := r.succeed(now); err != nil {
		return nil, err
	}
	current, err := r.onion[r.onion.current()].public()
	if err != nil {
		return nil, err
	}
	if err := r.addSuccessor(now); err != nil {
		return nil, err
	}
	return &RotatedOnion{Current: hex.EncodeToString(current[:]), Before: hex.EncodeToString(before[:])}, nil
}
