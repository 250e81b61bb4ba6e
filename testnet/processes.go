// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"chive/directory/genesis"
	"chive/internal/control"
	"chive/internal/node"
	"chive/internal/store"
)

// MaxProcesses bounds the nodes of a testnet of processes, relays and clients together.
const MaxProcesses = 200

// Names in the folder of a testnet of processes, and in a node's.
const (
	genesisFile = "genesis.chive"
	rulesFile   = "exit.policy"
	logFile     = "log"
	socketFile  = "control.sock"
)

// exitRules are what exits in processes permit: everything that a testnet lets them.
const exitRules = "accept any *:*\n"

// Times of processes: how long they may take to end in order, and to be ready.
const (
	endTime   = 5 * time.Second
	readyTime = 2 * time.Minute
)

// ProcessConfig says what testnet of processes to start.
type ProcessConfig struct {
	Relays, Exits, Clients int
	// Folder is where everything is kept: absolute, there, and without a network.
	Folder string
	// Program is the binary, and Name what to type for it in commands to be pasted.
	Program, Name string
	// Env is the processes' environment; see ProcessEnv.
	Env []string
	// Socks is where each client's proxy is.
	Socks []string
	// Web is where the first client's page is; empty: there is none.
	Web string
	// LogLevel is that of the processes; empty: their own.
	LogLevel string
	// Ended is told when a process has ended that nobody here has ended, and why, and the
	// name of its node. Nil is allowed.
	Ended func(name string, pid int, how string)
}

// NodeError says that a node of a testnet of processes did not start.
type NodeError struct {
	Name, Log string
	How       string
}

// Error says which and why.
func (e *NodeError) Error() string { return e.Name + " did not start: " + e.How }

// Processes is a running testnet whose nodes are processes, each with its folder: the
// binary as volunteers run it, over loopback.
//
// Nothing that ends is started again by itself: whoever kills a process wants to see
// what the others do.
type Processes struct {
	Genesis *genesis.Document
	// Target is the address of the built-in web server, IP:PORT.
	Target string

	cfg     ProcessConfig
	lock    *store.Lock
	starter *starter
	target  *http.Server
	tasks   sync.WaitGroup
	turn    chan struct{} // full while nodes are added or started

	mu     sync.Mutex
	nodes  []*processNode
	serves bool // all were ready once, and none is ended by us
}

// ProcessEnv is the environment for processes, made of ours: without what configures
// chive or speaks to a service manager, and with the user's configuration files out of
// sight, so that every node is what its command line says.
func ProcessEnv(environ []string, folder string) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "XDG_CONFIG_HOME":
			return true
		}
		return strings.HasPrefix(name, "CHIVE_") || strings.HasPrefix(name, "LISTEN_")
	})
	return append(out, "XDG_CONFIG_HOME="+filepath.Join(folder, "no-configuration"))
}

// StartProcesses founds a network in the folder and starts its nodes. It returns when all
// have said that they are ready, or with the first failure; then nothing is left running.
// ctx bounds the start only. Errors: ErrConfig, *NodeError, *node.Fault.
func StartProcesses(ctx context.Context, c ProcessConfig) (*Processes, error) {
	if c.Relays < MinRelays || c.Exits < 1 || c.Exits > c.Relays || c.Clients < 1 || c.Relays+c.Clients > MaxProcesses || len(c.Socks) != c.Clients {
		return nil, ErrConfig
	}
	lock, err := store.TakeLock(c.Folder)
	if err != nil {
		return nil, err
	}
	p := &Processes{cfg: c, lock: lock, starter: newStarter(), turn: make(chan struct{}, 1)}
	if err := p.begin(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Processes) begin(ctx context.Context) error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return errListen
	}
	p.Target, p.target = ln.Addr().String(), newTarget()
	p.tasks.Go(func() { serveTarget(p.target, ln) })
	if os.WriteFile(p.file(rulesFile), []byte(exitRules), store.FileMode) != nil {
		return errFolder
	}
	var founders []*relayFolder
	for i := range p.cfg.Relays {
		n, f, err := p.newRelay(i+1, i >= p.cfg.Relays-p.cfg.Exits)
		if err != nil {
			return err
		}
		p.nodes, founders = append(p.nodes, n), append(founders, f)
	}
	if err := foundFolders("testnet", founders, Params(p.cfg.Relays), p.file(genesisFile)); err != nil {
		return err
	}
	for i, f := range founders {
		p.nodes[i].rid = f.rid
	}
	data, err := os.ReadFile(p.file(genesisFile))
	if err == nil {
		p.Genesis, err = genesis.Parse(data)
	}
	if err != nil {
		return err
	}
	var clients []*processNode
	for i := range p.cfg.Clients {
		clients = append(clients, p.newClient(i))
	}
	relays := p.nodes
	p.nodes = append(slices.Clone(relays), clients...)
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	// A client that began among relays that do not listen yet would hold that against them,
	// and in a small network find too few.
	for _, nodes := range [][]*processNode{relays, clients} {
		for _, n := range nodes {
			if err := p.launch(n); err != nil {
				return err
			}
		}
		if err := p.await(ctx, nodes); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.serves = true
	p.mu.Unlock()
	return nil
}

func (p *Processes) file(name string) string { return filepath.Join(p.cfg.Folder, name) }

// newRelay plans a relay and holds its port.
func (p *Processes) newRelay(number int, isExit bool) (*processNode, *relayFolder, error) {
	name := fmt.Sprint("relay", number)
	ln, listen, err := reservePort()
	if err != nil {
		return nil, nil, err
	}
	n := &processNode{name: name, role: "relay", exit: isExit, listen: listen, folder: p.file(name), reserved: ln}
	n.args = append([]string{"relay", "run"}, p.common(n)...)
	n.args = append(n.args, "--listen", listen)
	f := &relayFolder{state: n.folder, listen: listen}
	if isExit {
		f.rules = p.file(rulesFile)
	}
	return n, f, nil
}

// newClient plans a client.
func (p *Processes) newClient(i int) *processNode {
	name := fmt.Sprint("client", i+1)
	n := &processNode{name: name, role: "client", folder: p.file(name)}
	n.args = append([]string{"client"}, p.common(n)...)
	web := "off"
	if i == 0 && p.cfg.Web != "" {
		web = p.cfg.Web
	}
	n.args = append(n.args, "--socks", p.cfg.Socks[i], "--web", web)
	return n
}

// common are the arguments of every node.
func (p *Processes) common(n *processNode) []string {
	n.socket = filepath.Join(n.folder, socketFile)
	args := []string{"--state", n.folder, "--genesis", p.file(genesisFile)}
	if p.cfg.LogLevel != "" {
		args = append(args, "--log-level", p.cfg.LogLevel)
	}
	return args
}

// launch starts a process of the node.
func (p *Processes) launch(n *processNode) error {
	if err := store.MakeFolder(n.folder); err != nil {
		return errFolder
	}
	log, err := openLog(filepath.Join(n.folder, logFile))
	if err != nil {
		return err
	}
	cmd := exec.Command(p.cfg.Program)
	cmd.Args = append([]string{"chive"}, n.args...)
	if !endsWithUs {
		cmd.Args = append(cmd.Args, "--"+EndWithInput)
	}
	cmd.Env = p.cfg.Env
	if n.reserved != nil {
		_ = n.reserved.Close()
		n.reserved = nil
	}
	started, err := p.starter.start(cmd, log)
	if err != nil {
		log.close()
		return err
	}
	n.mu.Lock()
	n.process = started
	n.mu.Unlock()
	p.tasks.Go(func() { p.watch(n, started) })
	return nil
}

// EndWithInput is the flag with which a process ends when its input does: where the
// system does not end it with the process that started it.
const EndWithInput = "end-with-input"

// watch tells when a process has ended that nobody here has ended.
func (p *Processes) watch(n *processNode, started *process) {
	<-started.done
	p.mu.Lock()
	serves := p.serves
	p.mu.Unlock()
	if serves && p.cfg.Ended != nil {
		p.cfg.Ended(n.name, started.cmd.Process.Pid, started.ended)
	}
}

// await waits until all the nodes are ready.
func (p *Processes) await(ctx context.Context, nodes []*processNode) error {
	for _, n := range nodes {
		newest := n.now()
		select {
		case <-newest.ready:
		case <-newest.done:
			if !newest.isReady() {
				return &NodeError{Name: n.name, Log: filepath.Join(n.folder, logFile), How: newest.ended}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close ends all processes, clients first, in order and after endTime without asking. It
// returns when they have gone. Files stay.
func (p *Processes) Close() {
	p.mu.Lock()
	p.serves = false
	nodes := slices.Clone(p.nodes)
	p.mu.Unlock()
	p.turn <- struct{}{} // nothing is started any more
	limit, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	for _, role := range []string{"client", "relay"} {
		var all []*process
		for _, n := range nodes {
			if newest := n.now(); n.role == role && newest != nil {
				all = append(all, newest)
				end(newest)
			}
			if n.reserved != nil {
				_ = n.reserved.Close()
			}
		}
		for _, one := range all {
			select {
			case <-one.done:
			case <-limit.Done():
				one.kill()
			}
		}
	}
	if p.target != nil {
		_ = p.target.Close()
	}
	p.tasks.Wait()
	p.starter.close()
	_ = p.lock.Release()
}

// Add makes and starts relays that join the network; the last of them are exits. It does
// not wait until they are ready. Error: *control.Failure. Spec: control.Grower.
func (p *Processes) Add(ctx context.Context, relays, exits int) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	p.mu.Lock()
	all, number := len(p.nodes), 1
	for _, n := range p.nodes {
		if n.role == "relay" {
			number++
		}
	}
	p.mu.Unlock()
	if all+relays > MaxProcesses {
		return &control.Failure{Code: "too_many", Text: fmt.Sprintf("A testnet of processes has at most %d nodes, and this one has %d", MaxProcesses, all), Fix: "Add fewer."}
	}
	for i := range relays {
		n, f, err := p.newRelay(number+i, i >= relays-exits)
		if err == nil {
			if err = f.join(p.file(genesisFile)); err == nil {
				n.rid = f.rid
				err = p.launch(n)
			}
			if err != nil && n.reserved != nil {
				_ = n.reserved.Close()
			}
		}
		if err != nil {
			return failure("A relay cannot be added", err)
		}
		p.mu.Lock()
		p.nodes = append(p.nodes, n)
		p.mu.Unlock()
	}
	return nil
}

// Start starts a node again, in its folder and at its port. It does not wait until that
// is ready. Error: *control.Failure. Spec: control.Grower.
func (p *Processes) Start(ctx context.Context, name string) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	p.mu.Lock()
	i := slices.IndexFunc(p.nodes, func(n *processNode) bool { return n.name == name })
	var n *processNode
	if i >= 0 {
		n = p.nodes[i]
	}
	p.mu.Unlock()
	switch {
	case n == nil:
		return &control.Failure{Code: "no_node", Text: "There is no node of this name", Fix: "See their names: chive testnet status"}
	case !n.ends(ctx) || control.Answers(n.socket) && fileThere(n.socket):
		return &control.Failure{Code: "node_runs", Text: name + " runs already", Fix: "Kill it first; chive testnet status has its process id."}
	}
	if err := p.launch(n); err != nil {
		return failure(name+" cannot be started", err)
	}
	return nil
}

func fileThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// enter waits for its turn to change the nodes.
func (p *Processes) enter(ctx context.Context) (leave func(), err error) {
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn }, nil
	case <-ctx.Done():
		return nil, &control.Failure{Code: "busy", Text: "Other nodes are being started, or the testnet ends", Fix: "Try again."}
	}
}

// failure is an error for the API.
func failure(text string, err error) *control.Failure {
	f := &control.Failure{Code: "not_started", Text: text, Fix: "See whether the folder can be written and the machine has memory left."}
	var fault *node.Fault
	if errors.As(err, &fault) {
		f.Code, f.Text, f.Fix = cmp.Or(fault.Code, f.Code), text+": "+fault.Text, fault.Fix
	}
	return f
}
