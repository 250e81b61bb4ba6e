// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Bounds.
const (
	stopGrace   = 5 * time.Second // to end by itself
	maxTailSize = 4 << 10         // of output that is kept for error messages
	maxLineSize = 16 << 10        // of a line that is passed on
)

// ErrEnded says that a process ended before it did what was waited for.
var ErrEnded = errors.New("lab: a process ended early")

// Process is a program that runs.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	out  output
}

// Start runs a program. Lines of its output, standard output and error together,
// are passed to line, if it is not nil, as they come, one at a time; line must not
// block. The process ends when the calling program does, whatever happens to it.
func Start(name string, line func(at time.Time, text string), program string, args ...string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.out.line = line
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = stopGrace
	p.cmd.Env = cleanEnvironment(os.Environ())
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: %s does not start: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Run runs a program to its end and returns what it printed. input is its standard
// input.
func Run(ctx context.Context, input, program string, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	cmd.Env = cleanEnvironment(os.Environ())
	cmd.WaitDelay = stopGrace
	dieWithParent(cmd)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("lab: %s: %w: %s", program, err, strings.TrimSpace(out.String()+errs.String()))
	}
	return out.String(), nil
}

// cleanEnvironment leaves out what would change how the programs run.
func cleanEnvironment(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "CHIVE_") {
			out = append(out, e)
		}
	}
	return out
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Name is what the caller calls it.
func (p *Process) Name() string { return p.name }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// shownLines is how many lines of a process's output an error shows.
const shownLines = 3

// Failure is ErrEnded with the last lines that the process printed.
func (p *Process) Failure() error {
	lines := strings.Split(p.out.last(), "\n")
	lines = lines[max(0, len(lines)-shownLines):]
	return fmt.Errorf("%w: %s: %s", ErrEnded, p.name, strings.Join(lines, " / "))
}

// Stop asks the process to end, waits, and kills it if it does not.
func (p *Process) Stop() {
	if interrupt(p.cmd.Process) == nil {
		select {
		case <-p.done:
			return
		case <-time.After(stopGrace):
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// StopAll stops processes at once and waits for all.
func StopAll(all []*Process) {
	var tasks sync.WaitGroup
	for _, p := range all {
		tasks.Go(p.Stop)
	}
	tasks.Wait()
}

// output takes what a process prints.
type output struct {
	line func(at time.Time, text string)

	mu   sync.Mutex
	part []byte // of a line
	tail []byte
}

var _ io.Writer = (*output)(nil)

// Write is called by one goroutine at a time: one writer serves both streams.
func (o *output) Write(b []byte) (int, error) {
	now := time.Now()
	for _, text := range o.take(b) {
		if o.line != nil {
			o.line(now, text)
		}
	}
	return len(b), nil
}

// take adds b and returns the lines that are complete.
func (o *output) take(b []byte) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, b...)
	if extra := len(o.tail) - maxTailSize; extra > 0 {
		o.tail = append(o.tail[:0], o.tail[extra:]...)
	}
	o.part = append(o.part, b...)
	var lines []string
	for {
		i := bytes.IndexByte(o.part, '\n')
		if i < 0 {
			break
		}
		lines = append(lines, string(o.part[:i]))
		o.part = o.part[i+1:]
	}
	if len(o.part) > maxLineSize {
		o.part = nil
	}
	return lines
}

func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.tail))
}
