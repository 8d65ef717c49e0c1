package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints a script for a shell.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Run prints the script.
func (c *completionCommand) Run(parsed *kong.Context, to console) error {
	script := bashCompletion
	switch c.Shell {
	case "zsh":
		script = func(root *kong.Node) string {
			return "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(root)
		}
	case "fish":
		script = fishCompletion
	}
	_, err := io.WriteString(to.out, script(parsed.Model.Node))
	return err
}

// place is a command. What follows it on the command line can be completed.
type place struct {
	at    string // the path of the command, with a space before each name
	node  *kong.Node
	flags []*kong.Flag
}

// places returns node and all commands below it.
func places(node *kong.Node, at string) []place {
	here := place{at, node, node.Flags}
	if node.DefaultCmd != nil {
		here.flags = append(here.flags, node.DefaultCmd.Flags...)
	}
	all := []place{here}
	for _, child := range node.Children {
		all = append(all, places(child, at+" "+child.Name)...)
	}
	return all
}

// walk returns the patterns of the shell's case statement that recognizes the commands typed so far.
func walk(all []place, quote, between string) string {
	var names []string
	for _, p := range all[1:] {
		names = append(names, quote+p.at+quote)
	}
	return strings.Join(names, between)
}

func bashCompletion(root *kong.Node) string {
	all := places(root, "")
	var values, words strings.Builder
	for _, p := range all {
		var offered []string
		for _, child := range p.node.Children {
			offered = append(offered, child.Name)
		}
		for _, argument := range p.node.Positional {
			offered = append(offered, argument.EnumSlice()...)
		}
		for _, flag := range p.flags {
			offered = append(offered, "--"+flag.Name)
			if flag.Enum != "" {
				fmt.Fprintf(&values, "    %q) words=%q ;;\n", p.at+" --"+flag.Name, strings.Join(flag.EnumSlice(), " "))
			} else if !flag.IsBool() {
				fmt.Fprintf(&values, "    %q) return ;;\n", p.at+" --"+flag.Name) // the shell completes files
			}
		}
		fmt.Fprintf(&words, "      %q) words=%q ;;\n", p.at, strings.Join(offered, " "))
	}
	return `# Completes gigagate: source <(gigagate completion bash)
_gigagate() {
  local at="" words="" i current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at ${COMP_WORDS[i]}" in
    ` + walk(all, `"`, "|") + `) at="$at ${COMP_WORDS[i]}" ;;
    esac
  done
  # bash takes --flag=value for three words.
  [ "$current" != "=" ] || current=""
  [ "$before" != "=" ] || before="${COMP_WORDS[COMP_CWORD-2]}"
  case "$at $before" in
` + values.String() + `    *)
      case "$at" in
` + words.String() + `      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _gigagate gigagate
`
}

func fishCompletion(root *kong.Node) string {
	all := places(root, "")
	quoted := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	var text strings.Builder
	fmt.Fprintf(&text, `# Completes gigagate: gigagate completion fish | source
function __gigagate_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case %s
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c gigagate -f
`, walk(all, "'", " "))
	for _, p := range all {
		condition := "complete -c gigagate -n " + quoted("__gigagate_at '"+p.at+"'")
		for _, child := range p.node.Children {
			fmt.Fprintf(&text, "%s -a %s -d %s\n", condition, child.Name, quoted(child.Help))
		}
		for _, argument := range p.node.Positional {
			if argument.Enum != "" {
				fmt.Fprintf(&text, "%s -a %s\n", condition, quoted(strings.Join(argument.EnumSlice(), " ")))
			}
		}
		for _, flag := range p.flags {
			takes := " -r -F"
			if flag.IsBool() {
				takes = ""
			} else if flag.Enum != "" {
				takes = " -x -a " + quoted(strings.Join(flag.EnumSlice(), " "))
			}
			fmt.Fprintf(&text, "%s -l %s%s -d %s\n", condition, flag.Name, takes, quoted(flag.Help))
		}
	}
	return text.String()
}
