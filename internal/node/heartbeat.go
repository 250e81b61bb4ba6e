// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"chive/internal/redact"
)

// heartbeatEvery is how often a relay's log says that it works. Spec: product REL-11.
const heartbeatEvery = 6 * time.Hour

// pulse is a relay in a few totals since its start.
type pulse struct {
	circuits          int // open
	created, refused  uint64
	bytesIn, bytesOut uint64 // of links
	exitStreams       uint64 // 0: no exit, or none
	listed, running   bool
}

// heartbeat logs a line now and then until ctx ends, so that who reads the log sees that the
// relay works, and roughly what it does. What users cause is rounded to two digits, which
// tells of nobody.
func heartbeat(ctx context.Context, log zerolog.Logger, look func() pulse) {
	began := time.Now()
	every := time.NewTicker(heartbeatEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			p := look()
			log.Info().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("heartbeat")).
				EmbedObject(redact.Count("hours", int(time.Since(began)/time.Hour))).
				EmbedObject(redact.Count("listed", count01(p.listed))).EmbedObject(redact.Count("running", count01(p.running))).
				EmbedObject(redact.Total("circuits_open", uint64(max(0, p.circuits)))).
				EmbedObject(redact.Total("circuits", p.created)).EmbedObject(redact.Total("refused", p.refused)).
				EmbedObject(redact.Total("mib_in", p.bytesIn>>20)).EmbedObject(redact.Total("mib_out", p.bytesOut>>20)).
				EmbedObject(redact.Total("exit_streams", p.exitStreams)).
				Msg("the relay works; totals since its start, rounded")
		}
	}
}

// count01 is a yes as 1.
func count01(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// pulse looks at the relay that runs.
func (r *relayRun) pulse() pulse {
	s := r.live.Load().Status()
	p := pulse{circuits: s.OpenCircuits, created: s.CircuitsCreated, refused: s.Refused, listed: s.Directory.Listed, running: s.Directory.Running}
	p.bytesIn, p.bytesOut = r.allowed.meter.Counted()
	if e := exitNumbers(r.exit.Load()); e != nil {
		p.exitStreams = e.Connected
	}
	return p
}
