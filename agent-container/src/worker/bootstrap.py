"""Runs one job in a sealed process. Started by worker/process.rs with `-c`.

Trusted until `dexorder._seal` returned; from then on user code shares the interpreter, and everything here is the user's.
"""
import ast, importlib.machinery, importlib.util, io, json, linecache, os, struct, sys, sysconfig, threading, traceback

CONTROL = 3
NAME = "<user code>"
TRACEBACK_MAX = 60_000
PROGRESS_TEXT_MAX = 500
REPR_MAX = 65_536
THREAD_STACK = 2 << 20
BALLAST = 1 << 20


def take_message():
    """Moves the channel from stdin to its own descriptor and reads the job."""
    os.dup2(0, CONTROL, inheritable=False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    length, = struct.unpack("<I", take(4))
    return json.loads(take(length))


def take(count):
    data = bytearray()
    while len(data) < count:
        part = os.read(CONTROL, count - len(data))
        if not part:
            os._exit(1)
        data += part
    return bytes(data)


def send(kind, payload):
    data = memoryview(kind + struct.pack("<I", len(payload)) + payload)
    while data:
        data = data[os.write(CONTROL, data):]


def load_module(path):
    loader = importlib.machinery.ExtensionFileLoader("dexorder", path)
    spec = importlib.util.spec_from_file_location("dexorder", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules["dexorder"] = module
    return module


def interpreter_paths():
    """What imports read: the standard library and the packages of this interpreter."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths.update(sys.path)
    # libpython and what wheels put beside it.
    if sys.base_prefix not in ("/", "/usr", "/usr/local"):
        paths.add(os.path.join(sys.base_prefix, "lib"))
    return sorted(path for path in paths if path and os.path.exists(path))


def progress(done, total=0, text=""):
    """Tells the caller how far the job is."""
    send(b"P", json.dumps({"done": int(done), "total": int(total), "text": str(text)[:PROGRESS_TEXT_MAX]}).encode())


def plain(value):
    """What `json` cannot show by itself, as JSON can."""
    if hasattr(value, "to_json"):  # pandas
        return json.loads(value.to_json(orient="split", date_format="iso"))
    if hasattr(value, "tolist"):  # numpy
        return value.tolist()
    raise TypeError


def show(value, limit):
    """The value of a last expression, as `repr` and, where possible, as JSON."""
    if value is None:
        return b"null"
    shown = {"repr": repr(value)[:REPR_MAX]}
    try:
        both = json.dumps({**shown, "json": value}, default=plain, allow_nan=False).encode()
        if len(both) <= limit:
            return both
    except (TypeError, ValueError, RecursionError, OverflowError):
        pass
    return json.dumps(shown).encode()


def run_python(source, limit):
    """Executes like a cell of a notebook."""
    linecache.cache[NAME] = (len(source), None, source.splitlines(True), NAME)
    tree = ast.parse(source, NAME)
    last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    main = type(sys)("__main__")
    sys.modules["__main__"] = main
    exec(compile(tree, NAME, "exec"), main.__dict__)
    value = eval(compile(last, NAME, "eval"), main.__dict__) if last else None
    return show(value, limit)


def send_pictures(count, size):
    """Every figure that was left open, as PNG."""
    plots = sys.modules.get("matplotlib.pyplot")
    if plots is None:
        return
    numbers = plots.get_fignums()
    for number in numbers[:count]:
        picture = io.BytesIO()
        plots.figure(number).savefig(picture, format="png")
        if picture.tell() > size:
            print(f"figure {number} is larger than {size} bytes and was left out", file=sys.stderr)
        else:
            send(b"F", picture.getvalue())
    if len(numbers) > count:
        print(f"{len(numbers) - count} figures beyond the first {count} were left out", file=sys.stderr)


def account(error):
    """The traceback without the frames of this file."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename != NAME and step.tb_next is not None:
        step = step.tb_next
    text = "".join(traceback.format_exception(type(error), error, step))
    return text[-TRACEBACK_MAX // 4:].encode("utf-8", "replace")


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def work(message, module):
    if message["kind"] == "module":
        return module._run_job(message["text"], progress).encode()
    try:
        result = run_python(message["text"], message["result_bytes"])
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
        result = b"null"
    send_pictures(message["pictures"], message["picture_bytes"])
    return result


def main():
    message = take_message()
    module = load_module(message["module"])
    seal = message["seal"]
    seal["read"] += interpreter_paths()
    sys.path[:0] = message["import_from"]
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    threading.stack_size(THREAD_STACK)
    # Raises when the process cannot be sealed; nothing below is reached then.
    sealed = module._seal(json.dumps(seal))
    send(b"S", sealed.encode())
    del seal, sealed
    # Given back when there is no other memory, to say so with.
    ballast = bytearray(BALLAST)
    try:
        kind, payload = b"R", work(message, module)
    except MemoryError as error:
        del ballast
        kind, payload = b"M", b""
        sys.stderr.write(account(error).decode())
    except BaseException as error:
        kind, payload = b"X", account(error)
    flush()
    send(kind, payload)
    # The supervisor measures and kills; it would not do to end before that. The channel ends when the server is gone.
    os.read(CONTROL, 1)
    os._exit(0)


main()
