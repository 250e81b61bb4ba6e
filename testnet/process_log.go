// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"os"
	"strings"

	"chive/internal/store"
)

// logSize is from when on a node's log begins anew, in bytes; the one before it stays
// beside it, so that a node takes twice that.
const logSize = 1 << 20

// maxLineSize bounds a line that is looked at, in bytes.
const maxLineSize = 400

// A processLog is the file of what a node says. It bounds itself, and a full disk stops
// no node: what cannot be written is dropped. One goroutine at a time uses it.
type processLog struct {
	path string
	file *os.File // nil: it cannot be written
	size int64
	said func(line string) // is told each line; nil: nobody is
	line []byte            // that is not whole yet
	last string            // line that was whole
}

func openLog(path string) (*processLog, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, store.FileMode)
	if err != nil {
		return nil, errFolder
	}
	l := &processLog{path: path, file: file}
	if info, err := file.Stat(); err == nil {
		l.size = info.Size()
	}
	return l, nil
}

// Write implements io.Writer. It takes everything.
func (l *processLog) Write(p []byte) (int, error) {
	l.read(p)
	if l.size > 0 && l.size+int64(len(p)) > logSize {
		l.turn()
	}
	if l.file != nil {
		n, _ := l.file.Write(p[:min(len(p), logSize)])
		l.size += int64(n)
	}
	return len(p), nil
}

// read looks at the lines of what is written.
func (l *processLog) read(p []byte) {
	for {
		piece, rest, whole := bytes.Cut(p, []byte{'\n'})
		l.line = append(l.line, piece[:min(len(piece), maxLineSize-len(l.line))]...)
		if !whole {
			return
		}
		if text := strings.ToValidUTF8(strings.TrimSpace(string(l.line)), ""); text != "" {
			l.last = text
			if l.said != nil {
				l.said(text)
			}
		}
		l.line, p = l.line[:0], rest
	}
}

// turn puts the log aside and begins a new one.
func (l *processLog) turn() {
	l.close()
	_ = os.Rename(l.path, l.path+".1")
	l.size = 0
	if file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, store.FileMode); err == nil {
		l.file = file
	}
}

func (l *processLog) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
