package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// runningProcess is what /proc shows of a process.
type runningProcess struct {
	name   string
	parent int
	cpu    time.Duration // of the process and its ended children, in ticks of 10 ms
}

// runningProcesses returns the processes of this machine by id. Without /proc there are none.
func runningProcesses() map[int]runningProcess {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	found := map[int]runningProcess{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		head, rest, ok := strings.Cut(string(text), ") ") // for the format see proc_pid_stat(5)
		pid, name, named := strings.Cut(head, " (")
		fields := strings.Fields(rest)
		if err != nil || !ok || !named || len(fields) < 15 {
			continue // it has ended meanwhile
		}
		id, _ := strconv.Atoi(pid)
		p := runningProcess{name: name}
		p.parent, _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] { // utime and stime, also of ended children
			ticks, _ := strconv.Atoi(field)
			p.cpu += time.Duration(ticks) * 10 * time.Millisecond
		}
		found[id] = p
	}
	return found
}

// databaseCPU returns the CPU time that all processes of this test binary's private PostgreSQL have used. It returns 0
// if the server does not use one, or if there is no /proc.
func (s benchServer) databaseCPU() (used time.Duration) {
	if s.Database == nil || !s.Database.Private() || s.Kind != "postgres" && s.Kind != "baseline" {
		return 0
	}
	found := runningProcesses()
	for _, p := range found {
		if p.name == "postgres" && (p.parent == os.Getpid() || found[p.parent].parent == os.Getpid()) {
			used += p.cpu
		}
	}
	return used
}

// resident returns the resident memory of the process in bytes, or 0 if there is no /proc.
func (p *benchProcess) resident() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	for _, line := range memoryLine.FindAllSubmatch(text, -1) {
		if string(line[1]) == "VmRSS" {
			kib, _ := strconv.ParseInt(string(line[2]), 10, 64)
			return kib << 10
		}
	}
	return 0
}
