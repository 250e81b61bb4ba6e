// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"errors"

	"chive/directory/record"
)

// ErrMissing means agreed ops whose descriptors are not at hand: errors.Is finds it
// in *MissingError.
var ErrMissing = errors.New("transition: a descriptor is missing")

// MissingError is what Next returns while descriptors are missing.
type MissingError struct {
	// Wants are all descriptors behind agreed ops that are not at hand, in the order of
	// the ops. A cap may turn out to make one of them needless.
	Wants []Want
}

// Want names a descriptor.
type Want struct {
	RID  record.RID
	Body [16]byte // start of the body digest
}

// Error says that descriptors are missing, not which.
func (e *MissingError) Error() string { return ErrMissing.Error() }

// Is reports whether target is ErrMissing.
func (e *MissingError) Is(target error) bool { return target == ErrMissing }

// missing returns the error for ops of which one at least lacks its descriptor.
func (w *work) missing(ops []Op) error {
	e := &MissingError{}
	for _, o := range ops {
		if o.Code != Update && o.Code != Add {
			continue
		}
		id := o.rid(w.parent.snap.Table())
		if _, err := w.lookUp(id, o.Body); err != nil {
			e.Wants = append(e.Wants, Want{id, o.Body})
		}
	}
	return e
}
