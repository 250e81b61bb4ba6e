// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"io"

	dirsync "chive/directory/sync"
)

// maxRequests bounds the requests of one directory stream.
const maxRequests = 256

// serveDirectory answers directory requests on rw until the other side ends it.
// slots bounds the streams at once of one link or circuit; beyond it the one
// request is answered as busy.
func (r *Relay) serveDirectory(rw io.ReadWriter, slots chan struct{}) {
	busy := false
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		busy = true
	}
	for range maxRequests {
		body, err := dirsync.ReadRequest(rw)
		if err != nil {
			return
		}
		answer := dirsync.Busy()
		if !busy {
			answer = r.serve.Answer(body)
		}
		if _, err := rw.Write(answer); err != nil || busy {
			return
		}
	}
}
