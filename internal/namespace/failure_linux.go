// SPDX-License-Identifier: BSD-3-Clause

package namespace

import (
	"os"
	"strings"
	"syscall"
)

// Step is what a child of Start was doing.
type Step string

// The steps, in their order.
const (
	StepClone    Step = "clone"    // the namespaces are made
	StepLoopback Step = "loopback" // loopback comes up
	StepMount    Step = "mount"    // files of our own are laid over the system's
	StepSockets  Step = "sockets"  // sockets are opened and handed out
	StepPowers   Step = "powers"   // capabilities are given up
	StepExec     Step = "exec"     // the command begins
)

// Failure says which step failed, and the system's reason.
type Failure struct {
	Step  Step
	Errno syscall.Errno // 0: unknown
}

// Error names the step.
func (f *Failure) Error() string { return "namespace: " + string(f.Step) + " failed" }

// Obstacle is why this user can have no namespaces here.
type Obstacle byte

// The obstacles that a system's settings tell.
const (
	Unknown    Obstacle = iota
	NoneLeft            // user.max_user_namespaces is 0
	RootOnly            // kernel.unprivileged_userns_clone is 0
	AppArmor            // kernel.apparmor_restrict_unprivileged_userns is 1
	NotInTheOS          // the kernel has no user namespaces
)

// FindObstacle looks at the system's settings for what forbids namespaces.
func FindObstacle() Obstacle { return findObstacle("/proc") }

func findObstacle(proc string) Obstacle {
	is := func(name, value string) bool {
		b, err := os.ReadFile(proc + "/sys/" + name)
		return err == nil && strings.TrimSpace(string(b)) == value
	}
	_, err := os.Stat(proc + "/self/ns/user")
	switch {
	case is("user/max_user_namespaces", "0"):
		return NoneLeft
	case is("kernel/unprivileged_userns_clone", "0"):
		return RootOnly
	case is("kernel/apparmor_restrict_unprivileged_userns", "1"):
		return AppArmor
	case os.IsNotExist(err):
		return NotInTheOS
	}
	return Unknown
}
