// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

// proxyPlace is where the proxy is.
type proxyPlace struct {
	network string // tcp or unix
	address string // as net.Dial takes it
	name    string // host:port or unix:/path
	asked   bool   // a running client said so
	// control is the socket of the client that has this proxy; no path: it is not known.
	control node.ControlSocket
}

// at is the place that a name means.
func at(name string) proxyPlace {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return proxyPlace{network: "unix", address: path, name: name}
	}
	return proxyPlace{network: "tcp", address: name, name: name}
}

// findProxy says where the proxy is: where the flag says, else where the client says that
// the command line or the configuration names, or the usual one. Where that one does not answer
// this fails: anybody on this machine may listen at its port then, and would be told every
// name and all that is sent. Within chive run it is the run's, unless the command line
// names another client: no other's port is reached from there.
// Spec: product CLI-10.
func (a *app) findProxy(c *cobra.Command, flag string) (proxyPlace, error) {
	if flag != "" {
		if err := (node.SocksOptions{Addrs: []string{flag}}).Check(); err != nil {
			return proxyPlace{}, err
		}
		_ = a.locate(c) // who may have it is asked only if something fails
		return at(flag), nil
	}
	if a.env.RunSocks != "" && !a.namesClient(c) {
		return a.runsProxy()
	}
	cfg, err := config.Load(a.placeSources(c)) // a mistake in any file may hide a name
	if err != nil {
		return proxyPlace{}, configFault(err)
	}
	a.placed(cfg)
	named := cfg.State != "" || cfg.Control != config.Auto || c.Flags().Changed("state")
	var listens []string
	for _, l := range cfg.Client.Listeners() {
		listens = append(listens, string(l.Address))
	}
	if namesSocks(cfg) && (!named || cfg.Control.IsOff()) { // as --socks does
		return preferred(listens), nil
	}
	socket, err := a.askedSocket()
	if err == nil && socket.Path == "" && socket.Fixed {
		return proxyPlace{}, &node.Fault{
			Kind: node.Unreachable, Code: "control_unknown", Text: "No client can be asked where its proxy is: the control socket is off",
			Fix: "Name the proxy as the client's ready line does: --socks ADDR",
		}
	}
	if err == nil {
		err = socket.Check()
	}
	if err != nil {
		return proxyPlace{}, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), statusTime)
	defer cancel()
	s, _, err := control.Fetch(ctx, socket.Path)
	switch {
	case err != nil && named:
		return proxyPlace{}, a.namedFault(socket, err)
	case err != nil:
		return proxyPlace{}, a.unaskedFault(socket, err)
	case s.Client == nil:
		return proxyPlace{}, &node.Fault{
			Kind: node.Unreachable, Code: "no_client", Text: "What answers at " + socket.Name() + " is no client",
			Fix: "Name a client's state folder: --state DIR, or its proxy: --socks ADDR",
		}
	}
	p, err := proxyOf(socket, s)
	if err == nil && a.env.RunSocks != "" && p.network == "tcp" {
		return a.withinRun(p, s)
	}
	return p, err
}

// namesClient reports whether the command line itself says which client is meant.
func (a *app) namesClient(c *cobra.Command) bool {
	return c.Flags().Changed("state") || c.Flags().Changed("control") || len(a.global.configs)+len(a.global.options) > 0
}

// runsProxy is the proxy of the chive run in which this process is, and asks nobody: the
// files of this user are the same within, and would lead to the usual client.
func (a *app) runsProxy() (proxyPlace, error) {
	if err := (node.SocksOptions{Addrs: []string{a.env.RunSocks}}).Check(); err != nil {
		return proxyPlace{}, err
	}
	p := at(a.env.RunSocks)
	p.control, p.asked = a.runsClient()
	return p, nil
}

// runsClient is the control socket of the client of the chive run in which this process is,
// if the run knew it.
func (a *app) runsClient() (node.ControlSocket, bool) {
	socket, err := node.ControlPath(a.env.RunControl, "")
	return socket, err == nil && socket.Path != ""
}

// withinRun is where a client is reached that answered, from within a chive run: at a path
// as from anywhere, at a port only if it is the run's. Another that had the same number would
// be the run's proxy all the same.
func (a *app) withinRun(p proxyPlace, s *control.Status) (proxyPlace, error) {
	if run, known := a.runsClient(); known && run.Shown() == p.control.Shown() {
		return a.runsProxy()
	}
	for _, name := range listenersOf(s, "socks") {
		if strings.HasPrefix(name, "unix:") {
			there := at(name)
			there.asked, there.control = true, p.control
			return there, nil
		}
	}
	return proxyPlace{}, &node.Fault{
		Kind: node.Unreachable, Code: "no_proxy", Text: "Within chive run no other client's port is reached, and the one that answers at " + p.control.Name() + " has its proxy at " + p.name,
		Fix: "Ask from outside, or give that client a socket: --socks " + p.name + ",unix:PATH",
	}
}

// ownerOf is the control socket of the client that has a proxy: of the one that said so, or
// else of the one that this command line means, if that says it has it. No other is asked
// about what was done there.
func (a *app) ownerOf(ctx context.Context, p proxyPlace) (node.ControlSocket, bool) {
	switch {
	case p.control.Path != "":
		return p.control, true
	case a.env.RunSocks != "" && p.network == "tcp": // no port is outside
		socket, known := a.runsClient()
		return socket, known && p.name == a.env.RunSocks
	}
	socket, err := a.askedSocket()
	if err != nil || socket.Check() != nil {
		return socket, false
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	s, _, err := control.Fetch(ctx, socket.Path)
	return socket, err == nil && slices.Contains(listenersOf(s, "socks"), p.name)
}

// askOwner is what to type to ask the client that has a proxy how it stands.
func (a *app) askOwner(ctx context.Context, p proxyPlace) string {
	socket, known := a.ownerOf(ctx, p)
	if !known {
		return "chive status with the --state or --control of the client whose proxy is at " + p.name
	}
	if meant, err := a.askedSocket(); err == nil && meant.Path == socket.Path {
		return a.ask("status")
	}
	return "chive status --control " + shellWord(socket.Shown())
}

// namesSocks reports whether the command line itself says where the proxy is, with -o. What a
// file or the environment says is where a client will listen: another may, while none runs.
func namesSocks(cfg *config.Config) bool {
	return cfg.Origin("client.socks").Layer > config.Variables
}

// namedFault says that the client which was named does not answer.
func (a *app) namedFault(socket node.ControlSocket, err error) *node.Fault {
	f := a.statusFault(socket, err)
	if f.Code == "no_daemon" && !socket.Fixed {
		f.Text = "No client runs with the state folder " + a.global.state + ": nobody answers at " + socket.Name()
		f.Fix = "Start it: chive client --state " + shellWord(a.global.state) + " --genesis FILE. If it runs, name the socket of its ready line, --control unix:PATH, or its proxy, --socks ADDR"
	}
	return f
}

// unaskedFault says that no client answers where one usually does.
func (a *app) unaskedFault(socket node.ControlSocket, err error) *node.Fault {
	f := a.statusFault(socket, err)
	if f.Code == "no_daemon" {
		f.Text = "No client answers at " + socket.Name() + ", so nobody says where its proxy is; another program may have its usual port"
		f.Fix = "Start one: chive client --genesis FILE. If one runs, give the --state that it runs with, the socket of its ready line, --control unix:PATH, or its proxy, --socks ADDR"
		if at := a.testnetClient(); at != "" {
			f.Fix = "A testnet of yours runs: --control " + at + " names its client. " + f.Fix
		}
	}
	return f
}

// proxyOf is where the client has its proxy that answered at its control socket. One that
// has none is no reason to ask at a port that another may have.
func proxyOf(socket node.ControlSocket, s *control.Status) (proxyPlace, error) {
	places := listenersOf(s, "socks")
	if len(places) == 0 {
		return proxyPlace{}, &node.Fault{
			Kind: node.Unreachable, Code: "no_proxy", Text: "The client that answers at " + socket.Name() + " has no proxy that programs could use",
			Fix: "Give it one: --socks " + node.DefaultSocks,
		}
	}
	p := preferred(places)
	p.asked, p.control = true, socket
	return p, nil
}

// preferred is the first port, which programs know better than paths, or the first path.
func preferred(places []string) proxyPlace {
	for _, name := range places {
		if !strings.HasPrefix(name, "unix:") {
			return at(name)
		}
	}
	return at(places[0])
}

// listenersOf are the places of that kind where a daemon serves programs.
func listenersOf(s *control.Status, kind string) (out []string) {
	for _, l := range s.Listeners {
		if l.Kind == kind {
			out = append(out, l.Address)
		}
	}
	return out
}
