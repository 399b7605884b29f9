"""A wrong and a right example for every error code, shown by `mw explain MW-nnn`."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, str]] = {
    "MW-101": ("finetune: {learning_rat: 1.0e-4}", "finetune: {learning_rate: 1.0e-4}"),
    "MW-102": ("finetune: {epochs: '3'}       # text", "finetune: {epochs: 3}         # a number"),
    "MW-103": (
        "data:\n<TAB>source: train.csv       # a tab",
        "data:\n  source: train.csv          # two spaces",
    ),
    "MW-104": (
        "task: text-classification\ndata: {source: train.csv}",
        "name: my-run\ntask: text-classification\ndata: {source: train.csv}",
    ),
    "MW-105": ("task: text-clasification", "task: text-classification     # see `mw list tasks`"),
    "MW-106": (
        "base: scratch:small\nfinetune: {method: lora}     # adapts weights that know nothing",
        "base: minilm-l6\nfinetune: {method: lora}",
    ),
    "MW-107": (
        "data: {source: trian.csv}     # paths are relative to the recipe",
        "data: {source: train.csv}",
    ),
    "MW-108": (
        "data: {source: '${DATA}/train.csv'}      # and DATA is not set",
        "export DATA=/data && mw run recipe.yaml",
    ),
    "MW-109": (
        "mw run recipe.yaml --set finetune.epochs:2",
        "mw run recipe.yaml --set finetune.epochs=2 --set 'data.clean=[normalize]'",
    ),
    "MW-110": (
        "compress: {max_drop: 1.0}     # a stage of a later release",
        "package: {formats: [torch, onnx], max_drop: 1.0}     # int8 where its quality holds",
    ),
    "MW-201": (
        "data: {source: rows.dat}      # no format claims it",
        "data: {source: rows.dat, format: csv, options: {delimiter: ';'}}",
    ),
    "MW-202": (
        "data: {source: t.csv, columns: {text: question}}     # t.csv has query,intent",
        "data: {source: t.csv, columns: {text: query, label: intent}}",
    ),
    "MW-203": (
        "test.csv holds only its header line",
        "data: {splits: {test: 0.1}}      # or a file with rows",
    ),
    "MW-204": (
        "limits: {dropped: 0.05}       # and 20% of the rows are duplicates",
        "look at ledger.jsonl for the reasons; repair the data, or limits: {dropped: 0.25}",
    ),
    "MW-205": (
        "text,label\nhello,greeting\nhi,greeting        # one class only",
        "text,label\nhello,greeting\nbye,farewell",
    ),
    "MW-206": (
        "a file that is partly UTF-8 and partly GBK",
        "iconv -f gb18030 -t utf-8 rows.csv > rows-utf8.csv",
    ),
    "MW-207": (
        "data: {source: 's3://bucket/rows.csv'}      # without credentials",
        "export AWS_PROFILE=team && mw run recipe.yaml",
    ),
    "MW-208": (
        "splits: {validation: 0.1, groups: customer}     # three customers only",
        "splits: {validation: validation.csv}",
    ),
    "MW-301": ("base: minilm", "base: minilm-l6      # or a hub id, a folder, scratch:small"),
    "MW-302": (
        "task: image-classification\nbase: minilm-l6      # reads text",
        "task: image-classification\nbase: scratch:small",
    ),
    "MW-303": (
        "a model file that was cut short by a full disk",
        "delete the folder that the message names and run again",
    ),
    "MW-304": (
        "base: someone/model-with-own-code",
        "base: a model of a family that the library itself knows",
    ),
    "MW-401": ("finetune: {learning_rate: 0.5}", "finetune: {learning_rate: 1.0e-4}"),
    "MW-402": (
        "finetune: {batch_tokens: 1000000}",
        "finetune: {batch_tokens: 4096}      # `mw plan` predicts the memory",
    ),
    "MW-403": (
        "finetune: {method: {lora: {targets: [no_such_layer]}}}",
        "finetune: {method: lora}            # finds the layers of the base",
    ),
    "MW-404": (
        "MLFLOW_TRACKING_URI=http://nobody:5000 mw run recipe.yaml",
        "unset MLFLOW_TRACKING_URI           # a database beside the checkpoint's logs",
    ),
    "MW-501": (
        "an exported model that answers 3 of 100 rows otherwise than the trained one",
        "package: {formats: [torch]}         # leave that form out, and report the difference",
    ),
    "MW-502": (
        "evaluate: {limits: {accuracy: 0.99}}     # and 0.93 was reached",
        "evaluate: {limits: {accuracy: 0.92}}     # or effort: thorough",
    ),
    "MW-503": (
        "compress: {max_drop: 0.1, limits: {p95_ms: 0.1}}",
        "compress: {max_drop: 1.0, limits: {p95_ms: 1.0}}   # the message says what is reachable",
    ),
    "MW-601": ("mw serve runs/my-run", "mw serve runs/my-run/bundle"),
    "MW-602": (
        "a bundle whose model file was copied only in part",
        "copy the folder again, then `mw verify BUNDLE`",
    ),
    "MW-603": (
        "golden row 7: `greeting` here, `farewell` where it was trained",
        "run with the library versions of bundle.json; report it if they are the same",
    ),
    "MW-604": (
        "a store folder that an editor or a newer release changed",
        "delete the folder that the message names and run again; it is made anew",
    ),
    "MW-605": ("mw predict BUNDLE --variant int8", "mw predict BUNDLE --variant onnx-int8"),
    "MW-606": ('{"txt": "hello"}', '{"text": "hello"}'),
    "MW-607": (
        "mw verify BUNDLE                 # on a processor without the instructions of the proof",
        "mw run recipe.yaml               # compress on a machine of the kind that will serve",
    ),
    "MW-611": (
        "mw monitor BUNDLE --traffic traffic     # but the recipe allows nothing to be recorded",
        "serve: {record: {share: 1.0, inputs: true}}     # in the recipe, then mw run",
    ),
    "MW-612": (
        "mw monitor old-bundle --traffic traffic     # packaged before there was monitoring",
        "mw run recipe.yaml               # packages it again",
    ),
    "MW-620": (
        "mw deploy BUNDLE --target docker --capacity notes.json",
        "mw bench BUNDLE --service --out capacity.json, then --capacity capacity.json",
    ),
    "MW-621": (
        "mw deploy BUNDLE --target ray --policy capacity.json",
        "mw simulate BUNDLE --out policy.json, then --policy policy.json",
    ),
    "MW-622": (
        "mw deploy BUNDLE --target kubernetes --image 'my image'",
        "mw deploy BUNDLE --target kubernetes --image registry.example/intents:1",
    ),
    "MW-623": (
        "mw bench BUNDLE --service        # and the bundle fails its self-test",
        "mw verify BUNDLE                 # says why",
    ),
    "MW-624": (
        "mw bench BUNDLE --service        # of a bundle without golden rows",
        "package: {golden: 32}            # in the recipe, then mw run",
    ),
    "MW-625": (
        "mw bench BUNDLE --service --slo 1",
        "mw bench BUNDLE --service --slo 50     # the message names what is reachable",
    ),
    "MW-626": (
        "mw deploy BUNDLE --target docker -o my-project",
        "mw deploy BUNDLE --target docker -o my-project/deploy",
    ),
    "MW-627": (
        "mw deploy intents --target docker --capacity moods.json",
        "mw bench intents --service --out intents.json, then --capacity intents.json",
    ),
    "MW-630": (
        "a bundle.json whose `name` was changed to `my model {v2}`",
        "name: my-model-v2                # in the recipe, then mw run",
    ),
    "MW-631": (
        "mw deploy BUNDLE --target prometheus --webhook localhost:9094",
        "mw deploy BUNDLE --target prometheus --webhook http://localhost:9094/alerts",
    ),
    "MW-640": ("mw simulate BUNDLE --trace wav", "mw simulate BUNDLE --trace wave"),
    "MW-645": (
        "mw predict BUNDLE --file 'july/*.cvs' --out answers",
        "mw predict BUNDLE --file 'july/*.csv' --out answers",
    ),
    "MW-646": (
        "mw predict BUNDLE --file july/ --out answers.csv      # a file",
        "mw predict BUNDLE --file july/ --out answers          # a folder",
    ),
    "MW-647": (
        "args: {bundel: bundle}        # of the application in serve.yaml",
        "args: {bundle: bundle}        # mw deploy BUNDLE --target ray -o DIR writes it",
    ),
    "MW-648": (
        "mw predict BUNDLE --file '*/rows.csv' --out answers",
        "mw predict BUNDLE --file july/ --out answers/july      # a folder at a time",
    ),
    "MW-649": (
        "one of 200 files has no column that the model reads",
        "repair the file that the message names, then the same command: the others stay",
    ),
    "MW-650": (
        "mw pull intent s3://models -o bundle",
        "mw pull intents@production s3://models -o bundle",
    ),
    "MW-651": (
        "mw pull intents s3://models -o bundle --key other.pub",
        "mw pull intents s3://models -o bundle --key key.pub     # of who pushed it",
    ),
    "MW-652": (
        "a registry whose files somebody edited",
        "restore the file that the message names, or push to another place",
    ),
    "MW-653": (
        "mw renew recipe.yaml --traffic traffic     # recorded without what callers sent",
        "serve: {record: {share: 0.1, inputs: true}}     # then package and serve it again",
    ),
    "MW-654": (
        "to-label.csv whose column `label` is empty",
        "fill the column, then mw renew recipe.yaml --traffic traffic --labels to-label.csv",
    ),
    "MW-655": (
        "a renewed model that may lose 2.1 points on the old test rows, 1.0 allowed",
        "label more rows, or allow it: renew: {max_drop: 2.5}",
    ),
    "MW-656": (
        "a canary that the service withdrew because it failed requests",
        "read the service's log, and run the same command again",
    ),
    "MW-657": (
        "mw renew recipe.yaml --listen 9095 --host 0.0.0.0",
        "mw renew recipe.yaml --listen 9095 --host 0.0.0.0 --token-file token",
    ),
    "MW-701": ("{'inputs': ['hello']}        # not JSON", '{"inputs": ["hello"]}'),
    "MW-702": ('{"inputs": "hello"}', '{"inputs": ["hello"]}'),
    "MW-703": (
        '{"model": "suport", "inputs": ["hello"]}',
        '{"model": "support", "inputs": ["hello"]}',
    ),
    "MW-704": (
        "one request with 100,000 inputs",
        "several requests; the message tells the largest that is accepted",
    ),
    "MW-705": (
        'curl -d \'{"inputs": ["hello"]}\' URL',
        "curl -H 'content-type: application/json' -d '{\"inputs\": [\"hello\"]}' URL",
    ),
    "MW-706": (
        "retry at once, in a loop",
        "wait for the seconds in Retry-After; add replicas where it lasts",
    ),
    "MW-707": (
        "curl -H 'x-deadline-ms: 1' ...",
        "curl -H 'x-deadline-ms: 1000' ...    # or fewer inputs in a request",
    ),
    "MW-708": ("curl URL", "curl -H 'authorization: Bearer KEY' URL"),
    "MW-709": (
        "the same request that failed",
        "report the request_id; the service's log has the trace under it",
    ),
    "MW-710": ("mw serve BUNDLE --port 80", "mw serve BUNDLE --port 8000"),
    "MW-711": (
        "retry at once, in a loop",
        "wait for the seconds in Retry-After; mw keys add NAME --rate 200",
    ),
    "MW-712": (
        "mw serve BUNDLE --host 0.0.0.0",
        "mw keys add NAME && mw serve BUNDLE --host 0.0.0.0 --keys keys.json",
    ),
    "MW-713": (
        "mw serve BUNDLE --keys empty.json",
        "mw keys add NAME --file keys.json && mw serve BUNDLE --keys keys.json",
    ),
    "MW-801": (
        "package: {formats: [onnx]}       # and onnx is not installed",
        "pip install 'modelwright[onnx]'  # the message names the extra",
    ),
    "MW-802": (
        "mw run recipe.yaml -o /full-or-read-only",
        "mw run recipe.yaml -o /disk/with/space",
    ),
    "MW-803": (
        "two `mw run recipe.yaml` at the same time",
        "wait for the first, or mw run recipe.yaml -o runs/second",
    ),
    "MW-804": ("mw check recipe.yml", "mw check recipe.yaml"),
    "MW-805": ("mw check", "mw check recipe.yaml      # `mw check --help`"),
    "MW-806": (
        "a file in data/cleaners/ with two cleaner classes",
        "one final class, a Config and a VERSION in each file",
    ),
    "MW-901": (
        "nothing that you did",
        "report the trace that was printed, the recipe and the versions",
    ),
}
