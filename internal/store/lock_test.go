// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// holdVariable makes this test binary a process that holds the folder it names.
const holdVariable = "CHIVE_STORE_TEST_HOLD"

func TestMain(m *testing.M) {
	if folder := os.Getenv(holdVariable); folder != "" {
		os.Exit(hold(folder))
	}
	os.Exit(m.Run())
}

func hold(folder string) int {
	if _, err := TakeLock(folder); err != nil {
		return 1
	}
	os.Stdout.WriteString("held\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func TestASecondProcessIsKeptOutAndToldWho(t *testing.T) {
	folder := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), holdVariable+"="+folder)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || said != "held\n" {
		t.Fatalf("the holder said %q, %v", said, err)
	}
	_, err = TakeLock(folder)
	var held *HeldError
	if !errors.As(err, &held) || held.PID != child.Process.Pid {
		t.Fatalf("got %v, want the holder %d", err, child.Process.Pid)
	}
	if !strings.Contains(err.Error(), strconv.Itoa(child.Process.Pid)) {
		t.Errorf("the text does not name the holder: %v", err)
	}
	if pid := Working(folder); pid != child.Process.Pid {
		t.Errorf("%d works there, not %d", pid, child.Process.Pid)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if pid := Working(folder); pid != 0 {
		t.Errorf("%d works there, which was killed", pid)
	}
	lock, err := TakeLock(folder) // a killed holder holds nothing
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestLockEndsWithRelease(t *testing.T) {
	folder := t.TempDir()
	for range 2 {
		lock, err := TakeLock(folder)
		if err != nil {
			t.Fatal(err)
		}
		if holder(filepath.Join(folder, LockName)) != os.Getpid() {
			t.Error("the lock file does not name this process")
		}
		var held *HeldError
		if _, err := TakeLock(folder); !errors.As(err, &held) || held.PID != os.Getpid() {
			t.Errorf("a second lock gives %v", err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAskingWhoWorksThereKeepsNobodyOut: who asks takes nothing, so a start never meets it.
func TestAskingWhoWorksThereKeepsNobodyOut(t *testing.T) {
	folder := t.TempDir()
	if pid := Working(folder); pid != 0 {
		t.Errorf("%d works in a new folder", pid)
	}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				Working(folder)
			}
		}
	})
	defer asking.Wait()
	defer close(stop)
	for range 2000 {
		lock, err := TakeLock(folder)
		if err != nil {
			t.Fatalf("a start was kept out: %v", err)
		}
		if pid := Working(folder); pid != os.Getpid() {
			t.Fatalf("%d works there, not this process", pid)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		if pid := Working(folder); pid != 0 {
			t.Fatalf("%d works there after it was given back", pid)
		}
	}
}

// TestALockFileAloneIsNoHolder: after a killed process its id may be another one's.
func TestALockFileAloneIsNoHolder(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, LockName)
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, known := heldNow(file); !known {
		t.Skip("this system does not tell who holds a lock without taking it")
	}
	if pid := Working(folder); pid != 0 {
		t.Errorf("%d works there, which holds nothing", pid)
	}
	if !alive(os.Getpid()) || alive(0) || alive(-1) {
		t.Error("who is alive is not known")
	}
}

func TestLockFilesThatNameNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), LockName)
	for _, text := range []string{"", "\n", "x", "-5", strings.Repeat("9", 100)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid := holder(path); pid != 0 {
			t.Errorf("%q names %d", text, pid)
		}
	}
	if (&HeldError{}).Error() == (&HeldError{PID: 7}).Error() {
		t.Error("an unknown holder has a number")
	}
	if _, err := TakeLock(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrLock) {
		t.Errorf("a missing folder gives %v", err)
	}
}
