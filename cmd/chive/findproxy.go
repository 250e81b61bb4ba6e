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
	note    string // why nobody was asked
}

// at is the place that a name means.
func at(name string) proxyPlace {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return proxyPlace{network: "unix", address: path, name: name}
	}
	return proxyPlace{network: "tcp", address: name, name: name}
}

// findProxy says where the proxy is: where the flag says, else where the client says that
// the command line or the configuration names. Where that one does not answer this fails:
// whoever listens at the usual port then is another, and what was meant for one network
// would pass another's. Where nothing was named it is the usual client's, and where
// nobody answers the usual port, with a note. Spec: product CLI-10.
func (a *app) findProxy(c *cobra.Command, flag string) (proxyPlace, error) {
	if flag != "" {
		if err := (node.SocksOptions{Addrs: []string{flag}}).Check(); err != nil {
			return proxyPlace{}, err
		}
		return at(flag), nil
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
	if a.namesSocks(cfg) && (!named || cfg.Control.IsOff()) { // as --socks does
		return preferred(listens), nil
	}
	usual := at(node.DefaultSocks)
	if len(listens) > 0 {
		usual = preferred(listens)
	}
	socket, err := a.controlSocket()
	if err == nil {
		err = socket.Check()
	}
	if err != nil {
		if named {
			return proxyPlace{}, err
		}
		usual.note = "No running client could be asked where its proxy is: this is the usual address, " + usual.name + "."
		return usual, nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), statusTime)
	defer cancel()
	s, _, err := control.Fetch(ctx, socket.Path)
	switch {
	case err != nil && named:
		return proxyPlace{}, a.namedFault(socket, err)
	case err != nil:
		usual.note = "No client answers at " + socket.Name() + ": this is the usual address, " + usual.name + "."
		return usual, nil
	case s.Client == nil && named:
		return proxyPlace{}, &node.Fault{
			Kind: node.Unreachable, Code: "no_client", Text: "What answers at " + socket.Name() + " is no client",
			Fix: "Name a client's state folder: --state DIR, or its proxy: --socks ADDR",
		}
	case s.Client == nil:
		usual.note = "What answers at " + socket.Name() + " is no client: this is the usual address, " + usual.name + "."
		return usual, nil
	}
	return proxyOf(socket, s)
}

// namesSocks reports whether the command line or the environment says where the proxy is:
// what the files say that are read anyway is the usual client's.
func (a *app) namesSocks(cfg *config.Config) bool {
	where := cfg.Origin("client.socks")
	return where.Layer > config.Files || where.Layer == config.Files && slices.Contains(a.global.configs, where.Name)
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
	p.asked = true
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
