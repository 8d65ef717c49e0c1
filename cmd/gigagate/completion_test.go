package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// completed runs a shell and returns how it completes the last word of a line.
var completed = map[string]func(script string, words []string) []string{
	"bash": func(script string, words []string) []string {
		return append([]string{"-c", `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gigagate; printf '%s\n' "${COMPREPLY[@]}"`, "bash", script}, words...)
	},
	"zsh": func(script string, words []string) []string {
		return append([]string{"-fc", `source "$1"; shift; setopt ksh_arrays; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gigagate; printf '%s\n' "${COMPREPLY[@]}"`, "zsh", script}, words...)
	},
	"fish": func(script string, words []string) []string {
		return []string{"--no-config", "-c", `source $argv[1]; complete -C $argv[2] | string split -f1 \t; true`, script, strings.Join(words, " ")}
	},
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	var commands []string
	for _, command := range model(t).Children {
		commands = append(commands, command.Name)
	}
	slices.Sort(commands)
	for shell, line := range completed {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if shell == "bash" {
				needTools(t, shell)
			} else if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			written := gigagate(t, "completion", shell)
			if written.status != 0 {
				t.Fatalf("%+v", written)
			}
			script := writeFile(t, written.out)
			for words, want := range map[string]string{
				"gigagate ":                                  strings.Join(commands, " "),
				"gigagate pur":                               "purchases",
				"gigagate purchases ":                        "get list resolve wait watch",
				"gigagate sandbox --sandbox-s":               "--sandbox-seed --sandbox-settings-file",
				"gigagate register --item x --mo":            "--mode",
				"gigagate register --item purchases --mode ": "default first-use now on-demand",
				"gigagate purchases list --state n":          "needs-operator",
				"gigagate completion ":                       "bash fish zsh",
				"gigagate purchases get --output t":          "table",
			} {
				typed := strings.Split(words, " ")
				out, err := exec.CommandContext(t.Context(), shell, line(script, typed)...).CombinedOutput()
				last := typed[len(typed)-1]
				got := slices.DeleteFunc(strings.Fields(string(out)), func(word string) bool {
					// zsh itself drops completions that do not begin with the word. It offers flags together with the rest.
					return !strings.HasPrefix(word, last) || strings.HasPrefix(word, "-") && last == ""
				})
				slices.Sort(got)
				if err != nil || strings.Join(got, " ") != want {
					t.Errorf("%q: %v, %q, want %q", words, err, got, want)
				}
			}
		})
	}
}

// bash splits --flag=value into three words.
func TestCompletionAfterAnEqualsSign(t *testing.T) {
	t.Parallel()
	needTools(t, "bash")
	script := writeFile(t, gigagate(t, "completion", "bash").out)
	for _, words := range [][]string{{"gigagate", "register", "--mode", "=", "on"}, {"gigagate", "register", "--mode", "="}} {
		out, err := exec.CommandContext(t.Context(), "bash", completed["bash"](script, words)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "on-demand\n") || strings.Contains(string(out), "--") {
			t.Errorf("%q: %v, %s", words, err, out)
		}
	}
}
