// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"chive/bench/lab"
)

// voteDelay is how many seconds before its time a consensus is voted on, the least
// that tor takes.
const voteDelay = 4

// maxConsensusSize bounds what is read of a consensus, in bytes.
const maxConsensusSize = 1 << 20

// errIncomplete says that the authorities agreed before every member had reported.
var errIncomplete = errors.New("torlab: a relay was too slow to be in the network's consensus")

// afterVote returns the moment, now or soon, right after a network with that
// interval would have voted: whoever starts then has nearly the whole interval.
func afterVote(now time.Time, interval int) time.Time {
	const late = 500 * time.Millisecond // still right after
	d := time.Duration(interval) * time.Second
	since := now.Add(voteDelay*time.Second).Sub(now.Truncate(24*time.Hour)) % d
	if since < late {
		return now
	}
	return now.Add(d - since)
}

func sleepUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitAuthorities waits until the authorities accept connections.
func (n *Network) awaitAuthorities(ctx context.Context) error {
	var d net.Dialer
	for i := range authorities {
		for _, port := range []uint16{n.keys.relay[i].dirPort, n.keys.relay[i].orPort} {
			err := lab.Poll(ctx, func() (bool, error) {
				conn, err := d.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					return false, n.alive()
				}
				return true, conn.Close()
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitConsensus waits until the first authority has a consensus, and checks that
// every member is in it.
func (n *Network) awaitConsensus(ctx context.Context) error {
	var text string
	err := lab.Poll(ctx, func() (bool, error) {
		var err error
		if text, err = n.consensus(ctx); err != nil {
			return false, n.alive()
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if countUsable(text) != members {
		return errIncomplete
	}
	return nil
}

// consensus asks the first authority.
func (n *Network) consensus(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address := fmt.Sprintf("http://127.0.0.1:%d/tor/status-vote/current/consensus-microdesc", n.keys.relay[0].dirPort)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept-Encoding", "identity") // tor compresses unasked
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return "", errOutput
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxConsensusSize))
	return string(data), err
}

// countUsable counts the relays of a consensus that run and may be guards.
func countUsable(consensus string) int {
	n := 0
	for line := range strings.Lines(consensus) {
		flags := strings.TrimRight(line, "\r\n") + " "
		if strings.HasPrefix(flags, "s ") && strings.Contains(flags, " Running ") && strings.Contains(flags, " Guard ") {
			n++
		}
	}
	return n
}
