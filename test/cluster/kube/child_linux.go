package kube

import "syscall"

// dieWithParent makes the kernel send the signal to the child when the thread
// that starts it ends. That works however this process dies: by a panic, by the
// time limit of go test, or by SIGKILL.
func dieWithParent(attr *syscall.SysProcAttr, signal syscall.Signal) {
	attr.Pdeathsig = signal
}
