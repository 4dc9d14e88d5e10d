package kube

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestOwnThreadIsNeverTheMainOneAndEnds(t *testing.T) {
	const many = 200 // more than there are idle threads, so that the main one is tried too
	threads := make(chan int, many)
	var all sync.WaitGroup
	all.Add(many)
	for range many {
		go onOwnThread(func() {
			threads <- unix.Gettid()
			all.Done()
			all.Wait() // nobody gets a thread that another has left
		})
	}
	for range many {
		thread := receive(t, threads)
		assert.NotEqual(t, os.Getpid(), thread)
		eventually(t, func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
			return os.IsNotExist(err)
		}, "the thread is gone")
	}
}
