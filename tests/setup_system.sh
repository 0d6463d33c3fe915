#!/usr/bin/env bash
# Installs what the tests want from the system, when it is missing: a PostgreSQL server, so that the store's
# contract tests run on it as well as on SQLite. Without one those tests skip and say why.
set -euo pipefail

has_postgres() {
    local initdb
    for initdb in "$(command -v initdb || true)" /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb; do
        if [[ -n $initdb && -x $initdb ]]; then
            return 0
        fi
    done
    return 1
}

if has_postgres; then
    echo "PostgreSQL server: present"
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "PostgreSQL server: missing, and only Debian's apt-get is known here; its tests will be skipped"
    exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if ! sudo -n true 2>/dev/null; then
        echo "PostgreSQL server: missing (apt-get install postgresql); its tests will be skipped"
        exit 0
    fi
    as_root=(sudo -n)
fi

echo "PostgreSQL server: installing"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
has_postgres
