// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantFault fails unless err is a Fault with that code, a text and a fix.
func wantFault(t *testing.T, err error, code string) *Fault {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want the fault %s", err, code)
	}
	if f.Code != code || f.Text == "" || f.Fix == "" || f.Kind < Failed || f.Kind > Denied {
		t.Fatalf("got %+v, want the fault %s with a text and a fix", f, code)
	}
	return f
}

// stateOf opens a fresh state folder that is closed with the test.
func stateOf(t *testing.T, dir string) *State {
	t.Helper()
	s, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
