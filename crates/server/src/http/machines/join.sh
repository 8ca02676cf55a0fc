#!/bin/sh
# Makes this computer a machine of the chatroom server at @URL@:
# fetches the server's own program, checks it, installs it to ~/.local/bin and
# joins with the one-use code given as argument. Without a code it only installs.
set -eu

main() {
    url='@URL@'
    offered='@PLATFORM@'
    checksum='@CHECKSUM@'

    say() { printf '%s\n' "chatroom: $*" >&2; }
    fail() { say "$@"; exit 1; }

    case "$(uname -s)" in
        Linux) os=linux ;;
        Darwin) os=macos ;;
        *) fail "this system, $(uname -s), is not supported" ;;
    esac
    case "$(uname -m)" in
        x86_64 | amd64) arch=x86_64 ;;
        aarch64 | arm64) arch=aarch64 ;;
        *) fail "this processor, $(uname -m), is not supported" ;;
    esac
    platform="$os-$arch"
    [ -n "${HOME:-}" ] || fail "HOME is not set; set it to the folder to install below"

    program="$HOME/.local/bin/chatroom"
    if [ "$platform" = "$offered" ]; then
        if [ -x "$program" ] && [ "$(sum "$program")" = "$checksum" ]; then
            say "$program is up to date"
        else
            fetch
        fi
    elif found="$(command -v chatroom)"; then
        say "the server has no program for $platform; using $found"
        program="$found"
    else
        fail "the server offers its program for '$offered', this computer is '$platform'; build chatroom from source here, put it on PATH, and run this line again"
    fi

    if [ $# -eq 0 ]; then
        say "installed $program; to join, ask the server's user for a line with a code"
        return 0
    fi
    "$program" machine join --url "$url" "$1" </dev/null
    case ":${PATH:-}:" in
        *":$HOME/.local/bin:"*) ;;
        *) say "$HOME/.local/bin is not on PATH; add it, or call $program by its full name" ;;
    esac
}

sum() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum <"$1" | cut -d ' ' -f 1
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 <"$1" | cut -d ' ' -f 1
    else
        printf '%s\n' 'chatroom: neither sha256sum nor shasum is here, so the download cannot be checked' >&2
        return 1
    fi
}

fetch() {
    mkdir -p "$HOME/.local/bin"
    fresh="$(mktemp "$HOME/.local/bin/.chatroom.XXXXXX")"
    trap 'rm -f "$fresh"' EXIT
    trap 'exit 1' HUP INT TERM
    say "fetching the program for $platform from $url"
    if command -v curl >/dev/null 2>&1; then
        curl -fsS -o "$fresh" "$url/download/$platform/chatroom" || fail "the download failed"
    else
        wget -q -O "$fresh" "$url/download/$platform/chatroom" || fail "the download failed"
    fi
    got="$(sum "$fresh")"
    [ "$got" = "$checksum" ] || fail "the download has the checksum $got, not $checksum; nothing was installed"
    chmod 755 "$fresh"
    mv -f "$fresh" "$program"
    trap - EXIT
    say "installed $program"
}

main "$@"
