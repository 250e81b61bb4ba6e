// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"io/fs"
	"strings"
	"testing"
)

// TestAnUnreadableGenesisHasItsFix: it is public, and who may not read it is told so.
func TestAnUnreadableGenesisHasItsFix(t *testing.T) {
	f := genesisUnread("/etc/chive/g", &fs.PathError{Op: "open", Path: "/etc/chive/g", Err: fs.ErrPermission})
	if f.Code != "file_forbidden" || !strings.Contains(f.Fix, "chmod a+r /etc/chive/g") {
		t.Errorf("%+v", f)
	}
}
