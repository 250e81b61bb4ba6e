// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"chive/internal/control"
	"chive/internal/store"
)

// A processNode is one node of a testnet of processes: what lasts over its processes,
// and the newest of them.
type processNode struct {
	name, role  string
	exit        bool
	listen, rid string // of a relay
	folder      string
	socket      string
	args        []string     // behind the program's name
	reserved    net.Listener // its port until it is first started; nil: none is held

	mu      sync.Mutex
	process *process // nil: there was none
}

// now returns the newest process; nil: there was none.
func (n *processNode) now() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// endingTime is how long a process that was killed may take to end.
const endingTime = time.Second

// ends reports whether the newest process is over, or is within endingTime: whoever has
// killed it just now may be before the system.
func (n *processNode) ends(ctx context.Context) bool {
	p := n.now()
	if p == nil {
		return true
	}
	t := time.NewTimer(endingTime)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
	case <-ctx.Done():
	}
	return p.isOver()
}

// process is one process of a node.
type process struct {
	cmd   *exec.Cmd
	input io.Closer     // ends a process whose system does not end it with ours; nil: none
	ready chan struct{} // closed when it has said its ready line
	done  chan struct{} // closed when it has ended, after ended is set
	ended string
}

func (p *process) isReady() bool { return closed(p.ready) }
func (p *process) isOver() bool  { return closed(p.done) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

var errStart = errors.New("testnet: a process cannot be started")

// start starts a process of cmd, whose output goes to log, which it closes.
func (s *starter) start(cmd *exec.Cmd, log *processLog) (*process, error) {
	p := &process{cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log // one pipe, one goroutine
	detach(cmd)
	var err error
	if !endsWithUs {
		if p.input, err = cmd.StdinPipe(); err != nil {
			return nil, errStart
		}
	}
	log.said = func(line string) {
		if strings.HasPrefix(line, readyWord) && !p.isReady() {
			close(p.ready)
		}
	}
	if s.do(cmd.Start) != nil {
		return nil, errStart
	}
	go func() {
		err := cmd.Wait()
		p.ended = how(err, log.last)
		log.close()
		close(p.done)
	}()
	return p, nil
}

// readyWord begins a node's ready line, and no other.
const readyWord = "ready "

// how says how a process has ended, in a few words.
func how(err error, last string) string {
	exit, is := err.(*exec.ExitError)
	switch {
	case err == nil:
		return "it has ended in order"
	case !is:
		return "it has ended"
	case exit.ExitCode() < 0: // by a signal
		return "it was ended by a signal (" + strings.TrimPrefix(exit.String(), "signal: ") + ")"
	}
	text := "it has ended with exit code " + strconv.Itoa(exit.ExitCode())
	if last != "" {
		text += ": " + last
	}
	return text
}

// kill gives the process no time for anything, and waits until it has gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// A starter starts processes from one thread of the system that lasts as long as it
// does: where a process ends with whoever started it, that is a thread, and the
// runtime ends threads as it likes.
type starter struct {
	work chan func()
	done chan struct{}
}

func newStarter() *starter {
	s := &starter{make(chan func()), make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for do := range s.work {
			do()
		}
	}()
	return s
}

func (s *starter) do(f func() error) error {
	result := make(chan error, 1)
	s.work <- func() { result <- f() }
	return <-result
}

// close is called when no process is left.
func (s *starter) close() {
	close(s.work)
	<-s.done
}

// state says how the node stands, in the words of the API, beside whether it answers.
func (n *processNode) state(answers bool) (state, ended string, pid int) {
	p := n.now()
	switch {
	case p == nil:
		return control.NodeEnded, "it was not started", 0
	case p.isOver() && answers: // somebody has started it by hand
		return control.NodeRunning, "", store.LockHolder(n.folder)
	case p.isOver():
		return control.NodeEnded, p.ended, 0
	}
	pid = p.cmd.Process.Pid
	switch {
	case !p.isReady():
		return control.NodeStarting, "", pid
	case !answers:
		return control.NodeSilent, "", pid
	}
	return control.NodeRunning, "", pid
}
