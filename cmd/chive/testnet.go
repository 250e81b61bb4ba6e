// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"chive/directory/genesis"
	"chive/internal/config"
	"chive/internal/node"
	"chive/testnet"
)

// startTime bounds the start of a testnet; fetchTime that of its first page.
const (
	startTime = 2 * time.Minute
	fetchTime = 30 * time.Second
)

type testnetOptions struct {
	relays, exits, clients int
	web                    string
	socks                  []string
	keep, driver           string
}

type testnetObject struct {
	Schema   string      `json:"schema"`
	Event    string      `json:"event"`
	Driver   string      `json:"driver"`
	Network  string      `json:"network_id"`
	Relays   int         `json:"relays"`
	Exits    int         `json:"exits"`
	Clients  int         `json:"clients"`
	Services int         `json:"services"`
	Socks    string      `json:"socks"`      // the first client's
	AllSocks []string    `json:"socks_list"` // one of each client
	Web      string      `json:"web"`
	Control  string      `json:"control"`
	Genesis  string      `json:"genesis,omitempty"` // file, with --keep
	Seconds  float64     `json:"took_seconds"`
	Curl     string      `json:"curl"`
	Try      []tryObject `json:"try"`
}

// tryObject is a command to paste and what it prints.
type tryObject struct {
	Name    string `json:"name"`
	Command string `json:"command"`
	Expect  string `json:"expect,omitempty"` // empty: it differs from run to run
}

const testnetUpHelp = `Starts a whole network in this process: relays, exits, clients with their proxies, and a
small web server that only the exits can reach, as http://hello.test/. It is the same
code that a volunteer runs, with every defence on; only the parameters are a testnet's.

It prints a line that begins with "ready testnet", then commands to paste: a page fetched
through the network, and what the first client knows of it. It runs until it is interrupted
and leaves nothing behind. Nothing leaves this machine except what you send through the
proxy.

With --driver proc every node is a process of its own, "chive relay run" or "chive client",
with its folder, log, process id and control socket: what "chive testnet status" shows.
Kill them as you like. None is started again by itself: "chive testnet start relay7" does
that, in place, and "chive testnet add 4" starts relays that join. All end with this
process, however it ends. The page is at an address of 127.0.0.1 there: exits that are
what volunteers run know no name of ours. What chive env and chive run start excepts such
addresses from the proxy: the line that is printed has --noproxy ''.`

func (a *app) testnetCommand() *cobra.Command {
	return parent("testnet", "a whole network on this machine", "Starts networks for trying chive out and for experiments.", a.testnetUp(), a.testnetStatus(), a.testnetAdd(), a.testnetStart(), a.testnetRun(), a.testnetList())
}

func (a *app) testnetUp() *cobra.Command {
	var o testnetOptions
	c := &cobra.Command{
		Use: "up", Short: "start a network and use it until it is interrupted", Long: testnetUpHelp, Args: exactly(),
		Example: "  chive testnet up\n  chive testnet up -n 50 --exits 10 --clients 3\n" +
			"  chive testnet up --keep shared\n  chive testnet up --driver proc -n 20 --keep lab\n\n" +
			"With --keep another client joins from another terminal:\n\n" +
			"  chive client --genesis shared/genesis.chive --state shared/client --socks 127.0.0.1:9350",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c.Flags().Changed("keep")); err != nil {
				return err
			}
			coarseTimers() // first: it may start the program again
			harden()
			node.TuneMemory()
			ctx, stop := untilSignal(c.Context(), func() { a.note("Stopping.") }, a.atOnce)
			defer stop()
			if o.driver == "proc" {
				return a.runProcesses(ctx, o, c.Flags().Changed("socks"))
			}
			return a.runTestnet(ctx, o, c.Flags().Changed("socks"))
		},
	}
	f := c.Flags()
	f.IntVarP(&o.relays, "relays", "n", 10, fmt.Sprintf("start `N` relays, %d to %d", testnet.MinRelays, testnet.MaxRelays))
	f.IntVar(&o.exits, "exits", 3, "make `N` of the relays exits")
	f.IntVar(&o.clients, "clients", 1, "start `N` clients, each with a proxy of its own")
	f.StringVar(&o.web, "web", "auto", "the first client's page is at `ADDR`, loopback only; off: there is none; auto: "+config.DefaultWeb+" or a free port")
	f.StringSliceVar(&o.socks, "socks", []string{node.DefaultSocks}, "the clients' proxies are at `ADDR,...`; when not given, or for more clients, free ports are taken")
	f.StringVar(&o.keep, "keep", "", "write the network's genesis document to `DIR`, so that other clients can use the network; with --driver proc everything that nodes keep, which stays there")
	f.StringVar(&o.driver, "driver", "local", fmt.Sprintf("run nodes as `NAME` says: local is all in this process, over loopback; proc is a process each, %d at most", testnet.MaxProcesses))
	return c
}

// check refuses what cannot work, before anything is started or written.
func (o *testnetOptions) check(keep bool) error {
	bad := func(code, text, fix string) error {
		return &node.Fault{Kind: node.Usage, Code: code, Text: text, Fix: fix}
	}
	switch {
	case o.driver != "local" && o.driver != "proc":
		return bad("driver", "--driver "+o.driver+" is not in this version", "Use --driver local, the default, or --driver proc.")
	case o.relays < testnet.MinRelays || o.relays > testnet.MaxRelays:
		most := testnet.MaxRelays
		if o.driver == "proc" {
			most = testnet.MaxProcesses - 1
		}
		return bad("relays", fmt.Sprintf("--relays takes %d to %d", testnet.MinRelays, most), "Leave it out for 10.")
	case o.exits < 1 || o.exits > o.relays:
		return bad("exits", fmt.Sprintf("--exits takes 1 to the number of relays, here %d", o.relays), "Name fewer exits, or more relays with --relays.")
	case o.clients < 1 || o.clients > testnet.MaxClients:
		return bad("clients", fmt.Sprintf("--clients takes 1 to %d", testnet.MaxClients), "Leave it out for 1.")
	case o.driver == "proc" && o.relays+o.clients > testnet.MaxProcesses:
		return bad("nodes", fmt.Sprintf("--driver proc takes %d relays and clients together", testnet.MaxProcesses), "Name fewer, or use --driver local.")
	case len(o.socks) > o.clients:
		return bad("socks", fmt.Sprintf("--socks names %d addresses for %d clients", len(o.socks), o.clients), "Name at most one for each client.")
	case keep && o.keep == "":
		return bad("keep", "--keep takes the name of a folder", "Name one, such as --keep shared, or leave it out.")
	}
	return node.SocksOptions{Addrs: o.socks}.Check()
}

// runTestnet starts the network, says that it is ready, and serves until ctx ends.
func (a *app) runTestnet(ctx context.Context, o testnetOptions, named bool) error {
	began := time.Now()
	log, err := a.log("warn").Logger(true)
	if err != nil {
		return err
	}
	proxies, err := o.listen(named)
	if err != nil {
		return err
	}
	defer proxies.close()
	for i, moved := range proxies.moved {
		if moved {
			a.note("Note: %s is taken, using %s.", o.socks[i], proxies.names[i])
		}
	}
	if o.keep != "" {
		if err := node.MakeGenesisFolder(o.keep); err != nil {
			return err
		}
	}
	bounded, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	net, err := testnet.Start(bounded, testnet.Config{
		Relays: o.relays, Exits: o.exits, Clients: o.clients, Log: log, Events: proxies.fronts[0].Event, Progress: a.newProgress().step,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // interrupted while starting
	case err != nil:
		return &node.Fault{Kind: node.Failed, Code: "testnet_failed", Text: "The testnet did not start (" + strings.ReplaceAll(err.Error(), "\n", "; ") + ")",
			Fix: "Try fewer relays with -n; if it stays, look at the log with --log-level debug."}
	}
	defer net.Close()
	proxies.serve(func(ctx context.Context, client int, f *node.Front) {
		_ = f.Serve(ctx, net.Clients[client].Client, true, log)
	})
	defer proxies.close() // before the network
	socks := proxies.names
	err = fetch(ctx, socks[0], testnet.TargetName)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	genesis, err := o.keepGenesis(net)
	if err != nil {
		return err
	}
	control, err := a.serveStatus(net, proxies.fronts[0], absolute(o.keep), socks)
	if err != nil {
		return err
	}
	defer control.close()
	node.TuneProcessors(ctx)
	a.testnetReady(o, net, socks, proxies.fronts[0], control.socket, genesis, time.Since(began))
	<-ctx.Done()
	return nil
}

// testnetControl is a testnet's control socket while it serves.
type testnetControl struct {
	socket node.ControlSocket
	folder string // made for it; empty: none
	stop   context.CancelFunc
	done   chan struct{}
	unsay  func() // nil: nothing was said
}

func (t *testnetControl) close() {
	if t.unsay != nil {
		t.unsay()
	}
	if t.stop != nil {
		t.stop()
		<-t.done
	}
	if t.folder != "" {
		_ = os.RemoveAll(t.folder)
	}
}

// serveStatus answers "chive status" for the first client and all relays, at the socket
// that --control names or in a folder of its own.
func (a *app) serveStatus(net *testnet.Network, front *node.Front, folder string, socks []string) (*testnetControl, error) {
	t, err := a.testnetPlace()
	if err == nil {
		if err = t.serve(net, front, folder, socks); err != nil {
			t.close()
		}
	}
	if err == nil {
		err = t.say(folder)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// testnetPlace is where a testnet is asked: where --control says, or in a folder made for
// it.
func (a *app) testnetPlace() (*testnetControl, error) {
	t := &testnetControl{}
	var err error
	if a.global.control == "" {
		if t.folder, err = node.TestnetFolder(a.env.RuntimeDir); err != nil {
			return nil, err
		}
	}
	if t.socket, err = node.ControlPath(a.global.control, t.folder); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// say writes into the testnet's own folder, if there is one, where it is asked.
func (t *testnetControl) say(folder string) error {
	if folder == "" || t.socket.Path == "" {
		return nil
	}
	at, err := filepath.Abs(t.socket.Path)
	if err == nil {
		t.unsay, err = testnet.WritePlace(folder, "unix:"+at)
	}
	if err != nil {
		t.close()
		return &node.Fault{Kind: node.Failed, Code: "keep", Text: "The folder " + folder + " cannot be written", Fix: "Name a folder that you may write to: --keep DIR."}
	}
	return nil
}

func (t *testnetControl) serve(net *testnet.Network, front *node.Front, folder string, socks []string) error {
	l, err := node.OpenControl(t.socket)
	if err != nil {
		return err
	}
	sources := &node.Sources{Document: net.Genesis, Version: version, Client: net.Clients[0].Client}
	for i, r := range net.Relays {
		exit := "off"
		if r.Exit {
			exit = "custom"
		}
		sources.Relays = append(sources.Relays, node.RelaySource{
			Relay: r.Relay, Name: fmt.Sprintf("relay %d", i+1), Exit: exit,
		})
	}
	sources.Listeners = front.Places()
	source := &localTestnet{
		ClientSources: &node.ClientSources{Sources: sources, Front: front}, net: net, folder: folder, socks: socks,
		relays: &node.Sources{Document: sources.Document, Version: version, Relays: sources.Relays},
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop, t.done = stop, make(chan struct{})
	go func() {
		defer close(t.done)
		var tasks sync.WaitGroup
		tasks.Go(func() { front.ServePage(ctx, source, func(string) {}) })
		_ = node.ServeControl(ctx, l, source)
		tasks.Wait()
	}()
	return nil
}

// keepGenesis writes the network's document where --keep says.
func (o *testnetOptions) keepGenesis(net *testnet.Network) (string, error) {
	if o.keep == "" {
		return "", nil
	}
	return node.WriteGenesis(o.keep, net.Genesis)
}

// fetch gets the built-in page through the proxy, as a program would: only then is
// the network ready.
func fetch(ctx context.Context, socks, host string) error {
	failed := func(why string) error {
		return &node.Fault{Kind: node.Failed, Code: "testnet_silent", Text: "The testnet runs, but its page cannot be fetched through it (" + why + ")",
			Fix: "Start it again with --log-level debug, and report what the log says."}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	network, address := "tcp", socks
	if path, ok := strings.CutPrefix(socks, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return failed("no connection to the proxy")
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request := "GET " + pageAt(host) + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return failed("the proxy hung up")
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return failed("no answer")
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(len(testnet.Page))+1))
	if why := r.Header.Get("X-Chive-Error"); why != "" {
		return failed(why)
	}
	if err != nil || r.StatusCode != http.StatusOK || string(body) != testnet.Page {
		return failed("another answer than the page")
	}
	return nil
}

// pageAt is the built-in page of a testnet whose built-in server is that host.
func pageAt(host string) string { return "http://" + host + "/" }

// curlLine fetches the built-in page through the proxy. Of a page on this machine it says so
// twice: NO_PROXY, which chive env sets, counts for curl even where a proxy is named, and the
// page would come without it.
func curlLine(socks, host string) string {
	if path, ok := strings.CutPrefix(socks, "unix:"); ok {
		socks = "localhost" + path
	}
	curl := "curl"
	if at, err := netip.ParseAddrPort(host); err == nil && at.Addr().IsLoopback() {
		curl += " --noproxy ''"
	}
	return curl + " --proxy socks5h://" + socks + " " + pageAt(host)
}

// testnetReady prints the ready line and what to paste. Spec: product CLI-8.
func (a *app) testnetReady(o testnetOptions, net *testnet.Network, socks []string, front *node.Front, control node.ControlSocket, genesis string, d time.Duration) {
	nid := net.Genesis.NetworkID()
	out := testnetObject{
		Schema: "chive.testnet.up/1", Event: "ready", Driver: o.driver, Network: fmt.Sprintf("%x", nid),
		Relays: len(net.Relays), Exits: o.exits, Clients: len(net.Clients), Web: front.PageName(),
		Genesis: genesis, Seconds: seconds(d), Socks: socks[0], AllSocks: socks, Curl: curlLine(socks[0], testnet.TargetName),
		Control: control.Shown(),
	}
	out.Try = []tryObject{{"hello", out.Curl, testnet.Page}}
	if control.Path != "" {
		out.Try = append(out.Try, tryObject{Name: "status", Command: selfCommand() + " status --watch --control " + out.Control})
	}
	a.testnetLine(out, d)
	later := ""
	if control.Path != "" {
		later = selfCommand() + " status --web --control " + out.Control
	}
	a.pageLine(front.PageAddress(), later)
	a.slower(net.Genesis, len(net.Relays))
	if genesis != "" {
		a.note("The genesis document is in %s.", genesis)
	}
	a.note("Ctrl-C stops it.")
}

// testnetLine prints the ready line and the commands behind it.
func (a *app) testnetLine(out testnetObject, d time.Duration) {
	a.answer(out, func(w io.Writer) {
		fmt.Fprintf(w, "ready testnet relays=%d clients=%d services=0 socks=%s web=%s control=%s took=%s\n",
			out.Relays, out.Clients, strings.Join(out.AllSocks, ","), out.Web, out.Control, took(d))
		for _, t := range out.Try {
			fmt.Fprintln(w, t.Command)
		}
	})
}

// slower says where a testnet's parameters are not the preset's.
func (a *app) slower(doc *genesis.Document, relays int) {
	if p, preset := doc.Params, testnet.Params(0); p.EpochLen != preset.EpochLen || p.CommitteeMax != preset.CommitteeMax {
		a.note("So that one machine keeps up with %d relays, an epoch lasts %v here and not %v, and a committee has %d members at most.",
			relays, p.EpochLen, preset.EpochLen, p.CommitteeMax)
	}
}
