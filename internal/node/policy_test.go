// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAPolicyThatClientsSeeNothingOfIsTaken, and it is said: a relay without a summary is
// no exit. Spec: protocol §6 (EXIT-1), product REL-2.
func TestAPolicyThatClientsSeeNothingOfIsTaken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range map[string]string{
		"four": "accept tcp *4:443\n", "six": "accept tcp *6:443\n", "network": "accept tcp 8.8.0.0/16:443\naccept tcp *4:80\n",
	} {
		file := write(name, text)
		hidden, err := CheckPolicy(file)
		if err != nil || len(hidden) != 2 || !strings.HasPrefix(hidden[0], "line 1, ") || !strings.Contains(hidden[1], "none chooses this relay") {
			t.Errorf("%s: %q, %v", name, hidden, err)
		}
		s := stateOf(t, filepath.Join(dir, "state "+name))
		d, err := s.declare(Declaring{Addresses: []string{"127.0.0.1:9240"}, Exit: file})
		if err != nil {
			t.Fatal(err)
		}
		if d.isExit() || !d.unseen() || d.made().Unseen == "" || d.made().Exit != "off" {
			t.Errorf("%s: exit %v, %+v", name, d.isExit(), d.made())
		}
	}
	part := write("part", "accept tcp *:80\naccept tcp *4:443\n")
	if hidden, err := CheckPolicy(part); err != nil || len(hidden) != 1 || !strings.Contains(hidden[0], `line 2, "accept tcp *4:443"`) {
		t.Errorf("%q, %v", hidden, err)
	}
	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, "accept tcp *:%d\n", 1000+2*i)
	}
	if hidden, err := CheckPolicy(write("many", many.String())); err != nil || len(hidden) != 1 || !strings.Contains(hidden[0], ", and 7 more: ") {
		t.Errorf("%q, %v", hidden, err)
	}
	for name, text := range map[string]string{"private": "accept tcp private:80\n", "none": "reject *:*\n"} {
		_, err := CheckPolicy(write(name, text))
		wantFault(t, err, "exit_policy")
	}
}
