package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"gigagate.internal/internal/scenarios/protocol"
)

// program is the running client program of one language. It makes the calls that it is asked to make.
type program struct {
	command *exec.Cmd
	in      io.WriteCloser
	lines   chan string // closed when its output has ended
	log     *bytes.Buffer
}

// answerWithin is the longest wait for one answer. It includes the start of the program.
const answerWithin = 2 * time.Minute

// startProgram starts a client program in folder. Its last argument is the gateway's address.
func startProgram(ctx context.Context, folder string, line []string, address string, environment []string) (*program, error) {
	p := &program{lines: make(chan string), log: &bytes.Buffer{}}
	p.command = exec.CommandContext(ctx, line[0], append(line[1:len(line):len(line)], address)...) //nolint:gosec // the table of languages
	p.command.Dir, p.command.Env = folder, environment
	p.command.Stderr = p.log
	p.command.WaitDelay = stopWithin
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go p.read(protocol.Lines(out))
	return p, nil
}

func (p *program) read(lines *bufio.Scanner) {
	defer close(p.lines)
	for lines.Scan() {
		p.lines <- lines.Text()
	}
}

// ask lets the program make one call. After a *brokenProgramError the program cannot make another call.
func (p *program) ask(request protocol.Request) (answer protocol.Answer, err error) {
	text, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return answer, p.broken("does not accept requests")
	}
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case line, ok := <-p.lines:
		if !ok {
			return answer, p.broken("ended without an answer")
		}
		decoder := json.NewDecoder(bytes.NewReader([]byte(line)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&answer); err != nil || !answer.Fits(request) {
			return answer, fmt.Errorf("the client program wrote a line that is not an answer: %.200q", line)
		}
		return answer, nil
	case <-timer.C:
		return answer, p.broken("does not answer")
	}
}

func (p *program) broken(how string) error {
	return &brokenProgramError{how: how}
}

// brokenProgramError ends the scenarios of a language, because no further call can succeed.
type brokenProgramError struct{ how string }

func (b *brokenProgramError) Error() string { return "the client program " + b.how }

// stop ends the program by closing its input. It returns an error if the program wrote anything more or failed.
func (p *program) stop() error {
	var complaint error
	_ = p.in.Close() // fails if the program has ended
	kill := time.AfterFunc(stopWithin, func() { _ = p.command.Process.Kill() })
	defer kill.Stop()
	for line := range p.lines {
		complaint = fmt.Errorf("the client program wrote a line without a request: %.200q", line)
	}
	if err := p.command.Wait(); err != nil {
		complaint = errors.Join(complaint, fmt.Errorf("the client program ended with %w", err))
	}
	if complaint != nil && p.log.Len() > 0 {
		complaint = fmt.Errorf("%w; it wrote:\n%s", complaint, p.log)
	}
	return complaint
}
