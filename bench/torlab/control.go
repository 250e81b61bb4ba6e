// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// errControl says that tor's control port refused or spoke something unknown.
var errControl = errors.New("torlab: tor's control port refused")

// maxControlLines bounds an answer.
const maxControlLines = 10_000

// control is a connection to a client's control port. One goroutine uses it.
type control struct {
	conn    net.Conn
	r       *bufio.Reader
	extends map[string]bool // circuits built before they were waited for; false: they failed
}

// openControl connects to a control socket that asks for no password. It is a unix
// socket: over TCP, tor's small answers would wait for acknowledgements.
func openControl(ctx context.Context, path string) (*control, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &control{conn: conn, r: bufio.NewReader(conn), extends: make(map[string]bool)}
	if _, err := c.command(ctx, "AUTHENTICATE"); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *control) Close() { _ = c.conn.Close() }

// command sends a line and returns the lines of the answer without their codes.
func (c *control) command(ctx context.Context, line string) ([]string, error) {
	if err := c.bound(ctx); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		return nil, err
	}
	var out []string
	for range maxControlLines {
		text, err := c.r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		text = strings.TrimRight(text, "\r\n")
		switch {
		case len(text) < 4:
			out = append(out, text) // of a block of data
		case strings.HasPrefix(text, "650 "):
			c.event(text)
		case strings.HasPrefix(text, "250 "):
			return append(out, text[4:]), nil
		case strings.HasPrefix(text, "250"):
			out = append(out, text[4:])
		case text[3] == ' ' && (text[0] == '4' || text[0] == '5'):
			return nil, fmt.Errorf("%w: %s", errControl, text)
		default:
			out = append(out, text)
		}
	}
	return nil, errControl
}

// bound takes the deadline of ctx, which must have one.
func (c *control) bound(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	return c.conn.SetDeadline(deadline)
}

// event keeps in mind what became of a circuit: "650 CIRC 7 BUILT ...".
func (c *control) event(text string) {
	f := strings.Fields(text)
	if len(f) < 4 || f[1] != "CIRC" {
		return
	}
	switch f[3] {
	case "BUILT":
		c.extends[f[2]] = true
	case "FAILED", "CLOSED":
		if _, known := c.extends[f[2]]; !known {
			c.extends[f[2]] = false
		}
	}
}

// startExtend begins a circuit along path and returns its number.
func (c *control) startExtend(ctx context.Context, path string) (string, error) {
	lines, err := c.command(ctx, "EXTENDCIRCUIT 0 "+path)
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(lines[len(lines)-1], "EXTENDED ")
	if !ok {
		return "", errControl
	}
	return id, nil
}

// waitExtend returns once the circuit is built. The connection must have asked for
// events of circuits.
func (c *control) waitExtend(ctx context.Context, id string) error {
	if err := c.bound(ctx); err != nil {
		return err
	}
	for range maxControlLines {
		if built, known := c.extends[id]; known {
			delete(c.extends, id)
			if !built {
				return fmt.Errorf("%w: a circuit was not built", errControl)
			}
			return nil
		}
		text, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		c.event(strings.TrimRight(text, "\r\n"))
	}
	return errControl
}
