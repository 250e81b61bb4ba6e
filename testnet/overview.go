// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"chive/directory/genesis"
	"chive/internal/control"
)

// askTime bounds the question to one node, and askCount how many are asked at once.
const (
	askTime  = 2 * time.Second
	askCount = 32
)

// Status implements control.Source: the nodes' own sockets say more.
func (p *Processes) Status() *control.Status {
	return &control.Status{Time: now(), Network: networkOf(p.Genesis), Relays: []control.Relay{}}
}

// Testnet implements control.Overseer: it asks every node.
func (p *Processes) Testnet(ctx context.Context) *control.Testnet {
	p.mu.Lock()
	nodes := append([]*processNode{}, p.nodes...)
	p.mu.Unlock()
	out := overview(p.Genesis, "proc")
	out.Folder, out.Genesis, out.Socks = p.cfg.Folder, p.file(genesisFile), p.cfg.Socks
	out.Nodes = make([]control.TestnetNode, len(nodes))
	asked := make(chan struct{}, askCount)
	var tasks sync.WaitGroup
	for i, n := range nodes {
		asked <- struct{}{}
		tasks.Go(func() {
			defer func() { <-asked }()
			out.Nodes[i] = p.look(ctx, n)
		})
	}
	tasks.Wait()
	newest := -1
	for i, n := range out.Nodes {
		if n.State == control.NodeRunning && (newest < 0 || n.Epoch > out.Nodes[newest].Epoch) {
			newest = i
		}
	}
	if newest >= 0 {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		if list, _, err := control.FetchRelays(ctx, nodes[newest].socket); err == nil {
			mark(out, list)
		}
	}
	return out
}

// look asks one node.
func (p *Processes) look(ctx context.Context, n *processNode) control.TestnetNode {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out := control.TestnetNode{
		Name: n.name, Role: n.role, Exit: n.exit, RID: n.rid, Listen: n.listen, Folder: n.folder, Control: "unix:" + n.socket,
		Log: filepath.Join(n.folder, logFile), Command: p.command(n),
	}
	s, _, err := control.Fetch(ctx, n.socket)
	out.State, out.Ended, out.PID = n.state(err == nil)
	switch {
	case err != nil:
	case s.Client != nil:
		out.Epoch, out.DirRoot = s.Client.Directory.Epoch, s.Client.Directory.DirRoot
	case len(s.Relays) > 0:
		out.Epoch, out.DirRoot = s.Relays[0].Directory.Epoch, s.Relays[0].Directory.DirRoot
	}
	return out
}

// command is what a person types to run the node.
func (p *Processes) command(n *processNode) string {
	words := []string{p.cfg.Name}
	for _, a := range n.args {
		words = append(words, quoted(a))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=@+", r))
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Overview shows a testnet in one process, whose relays are as status and list say. The
// caller adds what it alone knows.
func (n *Network) Overview(status *control.Status, list *control.Relays) *control.Testnet {
	out := overview(n.Genesis, "local")
	for i, r := range status.Relays {
		out.Nodes = append(out.Nodes, control.TestnetNode{
			Name: fmt.Sprint("relay", i+1), Role: "relay", Exit: r.Exit != "off", State: control.NodeRunning, PID: out.PID, RID: r.RID,
			Epoch: r.Directory.Epoch, DirRoot: r.Directory.DirRoot, Listen: r.Listen,
		})
	}
	for i, c := range n.Clients {
		out.Nodes = append(out.Nodes, control.TestnetNode{
			Name: fmt.Sprint("client", i+1), Role: "client", State: control.NodeRunning, PID: out.PID, Epoch: c.Status().Epoch,
		})
	}
	if list != nil {
		mark(out, list)
	}
	return out
}

func overview(doc *genesis.Document, driver string) *control.Testnet {
	return &control.Testnet{Time: now(), Driver: driver, PID: os.Getpid(), Network: networkOf(doc), CurrentEpoch: doc.EpochAt(time.Now())}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func networkOf(doc *genesis.Document) control.Network {
	id := doc.NetworkID()
	return control.Network{
		Name: doc.Name, ID: hex.EncodeToString(id[:]), Testnet: true, Began: doc.Time.UTC(), EpochSeconds: doc.Params.EpochLen.Seconds(),
	}
}

// mark says of each relay what a list does.
func mark(t *control.Testnet, list *control.Relays) {
	running := make(map[string]bool, len(list.Relays))
	for _, r := range list.Relays {
		running[r.RID] = r.Running
	}
	t.ListEpoch = list.Epoch
	for i := range t.Nodes {
		n := &t.Nodes[i]
		if n.RID == "" {
			continue
		}
		runs, listed := running[n.RID]
		n.Listed, n.Marked = listed, listed && !runs
	}
}
