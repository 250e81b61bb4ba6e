// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chive/internal/control"
)

// scriptKillNodes kills processes that a testnet of the script has started, and waits
// until the testnet knows.
func scriptKillNodes(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 2, "killnodes SOCKET NAME...")
	ctx, cancel := context.WithTimeout(context.Background(), awaitTime)
	defer cancel()
	look := func() (nodes []control.TestnetNode) {
		t, _, err := control.FetchTestnet(ctx, ts.MkAbs(args[0]))
		ts.Check(err)
		for _, n := range t.Nodes {
			if slices.Contains(args[1:], n.Name) {
				nodes = append(nodes, n)
			}
		}
		return nodes
	}
	nodes := look()
	need(ts, len(nodes) == len(args)-1, "killnodes SOCKET NAME..., names that there are")
	for _, n := range nodes {
		if n.PID <= 1 {
			ts.Fatalf("%s has no process", n.Name)
		}
		p, err := os.FindProcess(n.PID)
		ts.Check(err)
		ts.Check(p.Kill())
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if !slices.ContainsFunc(look(), func(n control.TestnetNode) bool { return n.State != control.NodeEnded }) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("they do not end")
		case <-again.C:
		}
	}
}

// scriptPasted fetches the page of the testnet of processes that runs as net, as its curl
// line does.
func scriptPasted(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "pasted TEXT")
	out := ts.Value(daemonsKey{}).(*daemons).running["net"].out.text()
	line := regexp.MustCompile(`(?m)^curl --noproxy '' --proxy socks5h://(\S+) (\S+)$`).FindStringSubmatch(out)
	need(ts, line != nil, "pasted TEXT, behind await of the curl line")
	scriptFetch(ts, false, []string{"socks5h://" + line[1], line[2], args[0]})
}

// hungTime is within what a request goes on whose circuit leads through a process that is stopped:
// six seconds, and what a busy machine takes. Each try that waits for it in vain takes 20.
const hungTime = 15 * time.Second

// scriptHung stops a process of the testnet, as SIGSTOP does, that a client's circuit leads through,
// and fetches the page meanwhile.
func scriptHung(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 4, "hung SOCKET CLIENT HOP TEXT")
	hop, err := strconv.Atoi(args[2])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), awaitTime)
	defer cancel()
	net, _, err := control.FetchTestnet(ctx, ts.MkAbs(args[0]))
	ts.Check(err)
	circuits, _, err := control.FetchCircuits(ctx, ts.MkAbs(args[1]))
	ts.Check(err)
	for _, q := range circuits.Circuits { // one of those in use has the next request
		if !q.InUse {
			continue
		}
		need(ts, hop < len(q.Hops), "hung with a HOP below 3")
		i := slices.IndexFunc(net.Nodes, func(n control.TestnetNode) bool { return n.RID == q.Hops[hop].RID })
		need(ts, i >= 0 && net.Nodes[i].PID > 1, "hung with a testnet of processes")
		socket := strings.TrimPrefix(net.Nodes[i].Control, "unix:")
		took := whileStopped(ts, net.Nodes[i].PID, socket, func() { scriptPasted(ts, false, args[3:]) })
		ts.Logf("with the relay at %d stopped it took %v", hop, took)
		switch {
		case took > hungTime:
			ts.Fatalf("that is too long")
		case took >= time.Second: // its circuit had to be left
			return
		}
	}
	ts.Fatalf("no relay that was stopped was needed")
}

// whileStopped returns how long f takes while the process that answers at a control socket is
// stopped.
func whileStopped(ts *testscript.TestScript, pid int, socket string, f func()) time.Duration {
	p, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(p.Signal(signals["STOP"]))
	defer func() { ts.Check(p.Signal(signals["CONT"])) }()
	for answers := true; answers; { // the signal takes a moment, in which a stream could be opened yet
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, _, err := control.Fetch(ctx, socket)
		answers = err == nil
		cancel()
	}
	began := time.Now()
	f()
	return time.Since(began)
}

// scriptSilent waits until nobody answers at a socket.
func scriptSilent(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "silent SOCKET")
	again, patience := time.NewTicker(20*time.Millisecond), time.NewTimer(stopTime)
	defer again.Stop()
	defer patience.Stop()
	for control.Answers(ts.MkAbs(args[0])) {
		select {
		case <-patience.C:
			ts.Fatalf("somebody answers at %s", args[0])
		case <-again.C:
		}
	}
}

// scriptGone waits until a daemon has ended by itself.
func scriptGone(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "gone NAME")
	p := named(ts, args[0])
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		ts.Fatalf("%s goes on", args[0])
	}
}

func TestListsOfNodesAreComparedByEpoch(t *testing.T) {
	node := func(state string, epoch uint64, root string) control.TestnetNode {
		return control.TestnetNode{State: state, Epoch: epoch, DirRoot: root}
	}
	for _, c := range []struct {
		nodes []control.TestnetNode
		want  string
	}{
		{nil, "No node says"},
		{[]control.TestnetNode{node("ended", 3, "aa"), node("running", 3, "")}, "No node says"},
		{[]control.TestnetNode{node("running", 3, "aa"), node("running", 3, "aa"), node("running", 2, "bb"), node("running", 1, "cc")},
			"epoch 3: the same list at 2, digest aa; epoch 2: the same list at 1, digest bb"},
		{[]control.TestnetNode{node("running", 3, "aa"), node("running", 3, "bb"), node("ended", 3, "cc")}, "epoch 3: DIFFERENT LISTS, aa and bb"},
	} {
		if got := sameLists(c.nodes); !strings.HasSuffix(got, c.want) && !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
