// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"github.com/rs/zerolog"

	"chive/internal/redact"
)

// debugs reports whether profiles of the process are shown: in a testnet, where the
// configuration that it began with says so. Spec: product API-1; security LOG-4.
func (e *Effect) debugs(testnet bool) bool {
	if e == nil || !testnet {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.began.Debug
}

// sayDebug says at the start that profiles are shown.
func sayDebug(log *zerolog.Logger, shown bool) {
	if shown {
		log.Warn().EmbedObject(redact.RoleNode).Msg("debug is on: the control socket shows profiles of this process; this is a testnet")
	}
}

// Profiles implements control.Profiler.
func (s *Sources) Profiles() bool { return s.Debug && s.Document != nil && s.Document.Testnet }
