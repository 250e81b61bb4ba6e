// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"chive/bench/lab"
)

// Bounds.
const (
	agreeTime  = time.Minute // for each of the two steps to a first consensus
	maxDirSize = 4 << 20     // of what a directory answers, in bytes
)

// errIncomplete says that the authorities agreed on a network that lacks members.
var errIncomplete = errors.New("torlab: a relay is missing in the network's consensus")

// origin is what the members of a mode know when a network starts: the consensus
// above all.
type origin struct {
	once   sync.Once
	folder string
	err    error
}

// introduce runs all members until each authority has a descriptor of each. They
// keep them on disk, so that later authorities have nothing to wait for before
// they vote: otherwise they would often agree without a member that was slow.
func (k *Keys) introduce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agreeTime)
	defer cancel()
	n, err := k.newNetwork(k.folder, k.folder, Modes()[0])
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.startMembers(0, authorities); err != nil {
		return err
	}
	// Relays report when they start, and if nobody listens then, not for a minute.
	for i := range authorities {
		if err := n.poll(ctx, i, "/tor/keys/authority", func(string) bool { return true }); err != nil {
			return err
		}
	}
	if err := n.startMembers(authorities, members); err != nil {
		return err
	}
	for i := range authorities {
		if err := n.poll(ctx, i, "/tor/server/all", func(text string) bool { return countDescriptors(text) == members }); err != nil {
			return err
		}
	}
	n.stop()
	for i := range authorities {
		nick := k.relay[i].nick
		for _, name := range []string{"cached-descriptors", "cached-descriptors.new"} {
			data, err := os.ReadFile(filepath.Join(n.folder, nick, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(k.folder, nick, name), data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// agreed returns the folder from which networks of the mode start. The first call
// has the authorities agree.
func (k *Keys) agreed(ctx context.Context, m Mode) (string, error) {
	k.mu.Lock()
	o := k.origins[m.Name]
	if o == nil {
		o = &origin{}
		k.origins[m.Name] = o
	}
	k.mu.Unlock()
	o.once.Do(func() { o.folder, o.err = k.agree(ctx, m) })
	return o.folder, o.err
}

// agree starts the authorities, and the relays once there is a consensus: else they
// would ask in vain, and then wait long before they ask again. It takes about ten
// seconds; what is on disk then makes later starts short.
func (k *Keys) agree(ctx context.Context, m Mode) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, agreeTime)
	defer cancel()
	n, err := k.newNetwork(k.folder, k.folder, m)
	if err != nil {
		return "", err
	}
	err = n.agree(ctx)
	n.stop()
	if err != nil {
		n.Close()
		return "", err
	}
	return n.folder, nil
}

func (n *Network) agree(ctx context.Context) error {
	if err := n.startMembers(0, authorities); err != nil {
		return err
	}
	for i := range authorities {
		var consensus string
		err := n.poll(ctx, i, "/tor/status-vote/current/consensus-microdesc", func(text string) bool {
			consensus = text
			return true
		})
		if err != nil {
			return err
		}
		if countUsable(consensus) != members {
			return errIncomplete
		}
	}
	ready := make([]chan struct{}, relays)
	for i := range ready {
		ready[i] = make(chan struct{})
	}
	if err := n.startMembers(authorities, members, ready...); err != nil {
		return err
	}
	for i, c := range ready {
		select {
		case <-c:
		case <-n.relays[i].Done():
			return n.relays[i].Failure()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// poll asks authority i until it answers and good likes it.
func (n *Network) poll(ctx context.Context, i int, path string, good func(text string) bool) error {
	return lab.Poll(ctx, func() (bool, error) {
		text, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d%s", n.keys.relay[i].dirPort, path))
		if err != nil {
			return false, n.alive()
		}
		return good(text), n.alive()
	})
}

// get fetches a document of a directory.
func get(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
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
	data, err := io.ReadAll(io.LimitReader(r.Body, maxDirSize))
	return string(data), err
}

// countDescriptors counts the relays' descriptors in a text.
func countDescriptors(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "router ") {
			n++
		}
	}
	return n
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
