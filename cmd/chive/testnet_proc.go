// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
	"chive/testnet"
)

// localTestnet is what a testnet in one process serves: its first client and all relays,
// and who they are.
type localTestnet struct {
	*node.ClientSources
	relays *node.Sources // without the client, whose list may be an older one
	net    *testnet.Network
	folder string // empty: none
	socks  []string
}

// Testnet implements control.Overseer.
func (t *localTestnet) Testnet(context.Context) *control.Testnet {
	out := t.net.Overview(t.relays.Status(), t.relays.List())
	out.Folder, out.Socks = t.folder, t.socks
	if t.folder != "" {
		out.Genesis = filepath.Join(t.folder, "genesis.chive")
	}
	return out
}

// absolute is a path that other commands can use from elsewhere; "" stays.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// longestNode is the longest name of a node, for paths of sockets.
const longestNode = "client200"

// processFolder makes the folder of a testnet of processes. remove is called at its end.
func (o *testnetOptions) processFolder() (folder string, remove func(), err error) {
	if o.keep != "" {
		if err := node.MakeGenesisFolder(o.keep); err != nil {
			return "", nil, err
		}
		folder, remove = absolute(o.keep), func() {}
	} else {
		if folder, err = testnet.MakeFolder(); err != nil {
			return "", nil, err
		}
		remove = func() { _ = os.RemoveAll(folder) }
	}
	at, err := node.ControlPath("", filepath.Join(folder, longestNode))
	if err == nil {
		err = at.Check()
	}
	if err != nil {
		remove()
		return "", nil, &node.Fault{Kind: node.Usage, Code: "control_path", Text: "The path " + folder + " is too long: the nodes' control sockets are below it, and no system takes long paths of sockets",
			Fix: "Name a folder with a shorter one: --keep DIR."}
	}
	return folder, remove, nil
}

// processPlaces finds where each client's proxy and the first one's page are to be. Ports
// that nobody named move to free ones when they are taken. Spec: product CLI-8.
func (a *app) processPlaces(o *testnetOptions, named bool) (socks []string, web string, err error) {
	for i := range o.clients {
		at := ""
		// The system would give a free port that it gave to another program until the client has it.
		free := i < len(o.socks) && o.socks[i] == "127.0.0.1:0"
		if i < len(o.socks) && !free {
			front, err := node.OpenFront(node.FrontOptions{Socks: node.SocksOptions{Addrs: o.socks[i : i+1], Answers: answers}})
			switch {
			case err == nil:
				at = front.Names()[0]
				front.Close()
			case named:
				return nil, "", err
			}
		}
		if at == "" {
			if at, err = testnet.FreePort(); err != nil {
				return nil, "", err
			}
			if i < len(o.socks) && !free {
				a.note("Note: %s is taken, using %s.", o.socks[i], at)
			}
		}
		socks = append(socks, at)
	}
	web = o.web
	switch web {
	case "off":
		return socks, "", nil
	case "auto":
		web = config.DefaultWeb
		free, err := node.OpenFront(node.FrontOptions{Socks: node.SocksOptions{Addrs: []string{"127.0.0.1:0"}, Answers: answers}, Web: web})
		if err == nil {
			free.Close()
			return socks, web, nil
		}
		web, err = testnet.FreePort()
		return socks, web, err
	}
	return socks, web, nil
}

// runProcesses starts a network whose nodes are processes, says that it is ready, and
// watches over it until ctx ends.
func (a *app) runProcesses(ctx context.Context, o testnetOptions, named bool) error {
	began := time.Now()
	socks, web, err := a.processPlaces(&o, named)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return &node.Fault{Kind: node.Failed, Code: "program_unknown", Text: "The system does not say where this program is, so it cannot start others of it", Fix: "Use --driver local."}
	}
	folder, remove, err := o.processFolder()
	if err != nil {
		return err
	}
	defer remove()
	a.note("Starting %d processes in %s", o.relays+o.clients, folder)
	bounded, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	net, err := testnet.StartProcesses(bounded, testnet.ProcessConfig{
		Relays: o.relays, Exits: o.exits, Clients: o.clients, Folder: folder, Program: program, Name: selfCommand(),
		Env: testnet.ProcessEnv(os.Environ(), folder), Socks: socks, Web: web, LogLevel: a.global.logLevel,
		Ended: func(name string, pid int, how string) {
			a.tell(fmt.Sprintf("%s (process %d) is gone: %s. It is not started again by itself; the others go on. Start it again in place: %s", name, pid, how, startLine(name, folder)))
		},
	})
	var fault *node.Fault
	var silent *testnet.NodeError
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // interrupted while starting
	case errors.As(err, &fault):
		return err
	case errors.As(err, &silent):
		return &node.Fault{Kind: node.Failed, Code: "testnet_failed", Text: "The testnet did not start (" + silent.Error() + ")", Fix: "See what the node says: start again with --keep DIR, and read DIR/" + silent.Name + "/log."}
	case err != nil:
		return &node.Fault{Kind: node.Failed, Code: "testnet_failed", Text: "The testnet did not start (" + err.Error() + ")", Fix: "Try fewer nodes with -n; if it stays, look at the logs: --keep DIR, then DIR/relay1/log."}
	}
	defer net.Close()
	err = fetch(ctx, socks[0], net.Target)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	place, err := a.serveProcesses(net, folder)
	if err != nil {
		return err
	}
	defer place.close()
	if web != "" {
		web = "http://" + web + "/"
	} else {
		web = "off"
	}
	a.processesReady(o, net, socks, web, folder, time.Since(began))
	<-ctx.Done()
	return nil
}

// serveProcesses answers "chive testnet status", "add" and "start".
func (a *app) serveProcesses(net *testnet.Processes, folder string) (*testnetControl, error) {
	t, err := a.testnetPlace()
	if err != nil {
		return nil, err
	}
	l, err := node.OpenControl(t.socket)
	if err != nil {
		t.close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop, t.done = stop, make(chan struct{})
	go func() {
		defer close(t.done)
		_ = node.ServeControl(ctx, l, net)
	}()
	return t, t.say(folder)
}

// keptFlag is --keep with the folder of a testnet.
func keptFlag(folder string) string { return " --keep " + shellWord(folder) }

// startLine starts a node again.
func startLine(name, folder string) string {
	return selfCommand() + " testnet start " + name + keptFlag(folder)
}

// processesReady prints the ready line and what to paste. Spec: product CLI-8.
func (a *app) processesReady(o testnetOptions, net *testnet.Processes, socks []string, web, folder string, d time.Duration) {
	nid := net.Genesis.NetworkID()
	out := testnetObject{
		Schema: "chive.testnet.up/1", Event: "ready", Driver: "proc", Network: fmt.Sprintf("%x", nid),
		Relays: o.relays, Exits: o.exits, Clients: o.clients, Web: web, Genesis: filepath.Join(folder, "genesis.chive"), Seconds: seconds(d),
		Socks: socks[0], AllSocks: socks, Curl: curlLine(socks[0], net.Target), Control: "unix:" + filepath.Join(folder, "client1", "control.sock"),
	}
	out.Try = []tryObject{
		{"hello", out.Curl, testnet.Page},
		{Name: "status", Command: selfCommand() + " status --watch --control " + shellWord(out.Control)},
		{Name: "nodes", Command: selfCommand() + " testnet status" + keptFlag(folder)},
	}
	a.testnetLine(out, d)
	a.slower(net.Genesis, o.relays)
	stays := "is removed at the end"
	if o.keep != "" {
		stays = "stays"
	}
	a.note("Each node is a process of its own, with its keys, log and control socket in %s, which %s.", folder, stays)
	a.note("Kill what you like (testnet status has the process ids): nothing is started again by itself. In place: %s", startLine("relay1", folder))
	a.note("More relays, which join: %s testnet add 4%s", selfCommand(), keptFlag(folder))
	a.note("Ctrl-C stops it.")
}

// shellWord is a word as a shell takes it.
func shellWord(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$`*?[]{}()<>|&;!#~") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// endWithInputFlag is for whoever starts processes that are to end with it, on systems
// that do not see to that.
func endWithInputFlag(c *cobra.Command) {
	c.Flags().Bool(testnet.EndWithInput, false, "end at once when the standard input ends")
	_ = c.Flags().MarkHidden(testnet.EndWithInput)
}

// endWithInput ends this process, as a kill would, when its input ends, if that was asked
// for.
func endWithInput(c *cobra.Command) {
	if asked, err := c.Flags().GetBool(testnet.EndWithInput); err != nil || !asked {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}
