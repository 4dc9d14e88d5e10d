//go:build !linux

package kube

import "syscall"

// dieWithParent does nothing: only Linux can tie a child to its parent. After a
// crash the programs have to be ended by hand here.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
