"""The MONAI Label app: models, store, strategies and sessions of this server."""

import importlib
import logging
import time
from pathlib import Path

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.utils.others.class_utils import get_class_names
from monailabel.utils.sessions import SessionInfo

import lib.configs
from headct_molre import __version__
from headct_molre.data.cache_folder import cache_limit_bytes
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.data.store import StudyStore
from headct_molre.errors import NotFound
from headct_molre.findings import finding_keys
from headct_molre.imaging.content import content_sha256
from headct_molre.selection import STRATEGIES
from headct_molre.server.config import server_config
from headct_molre.server.devices import inference_devices
from headct_molre.server.loaded import LoadedModels
from headct_molre.server.pools import Pools
from headct_molre.server.queue import InferenceQueue
from headct_molre.server.rescoring import Rescoring
from lib.activelearning.first import FirstStudy
from lib.activelearning.random import RandomStudy
from lib.activelearning.ranked import RankedStudy
from lib.batch import BatchInference
from lib.datastore import HeadCTDatastore
from lib.gate import checked_session
from lib.heatmaps import HeatMaps
from lib.infers.headct import HeadCT, Images, Serving
from lib.learning.training_jobs import TrainingJobs
from lib.metrics import rescored
from lib.trainers.headct import FineTune


class HeadCTApp(MONAILabelApp):
    """75 findings on non-contrast head CT, as `server_config` says: models, store, readers."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        config = server_config()
        self.store = StudyStore(config.store_url, config.readers_per_study, label_rule=config.label_rule)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="Head CT MoLRE",
            description="75 findings on non-contrast head CT. Research software, not a medical device.",
            version=__version__,
            labels=list(finding_keys()),
        )

    def init_datastore(self) -> HeadCTDatastore:
        return HeadCTDatastore(Path(self.studies), self.store, server_config().scan_s)

    def init_infers(self) -> dict[str, HeadCT]:
        # Each class is named as lib.configs.<model>.<Class>.
        found = {path.split(".")[-2]: path.rsplit(".", 1) for path in get_class_names(lib.configs, "ModelConfig")}
        wanted = self.conf.get("models")  # MONAI Label's own start says it so
        names = [name.strip() for name in wanted.split(",")] if wanted else list(server_config().models)
        names = sorted(found) if names == ["all"] else names
        prepared = PreparedCache(self.datastore().private_folder("prepared"), cache_limit_bytes())
        self.queue = InferenceQueue(inference_devices(), server_config().waiting_inferences)
        self.batch = BatchInference(self, prepared)
        features = self.datastore().private_folder("features")
        serving = Serving(self.store, self.queue, LoadedModels(prepared), self._content, features)
        self.heat_maps = HeatMaps(serving)
        self.training = TrainingJobs(self, server_config())
        infers, self._tasks = {}, {}
        for name in names:
            if name not in found:
                raise NotFound("unknown_model", f"There is no model {name!r}; there are {', '.join(sorted(found))}.", field="models")
            module, class_name = found[name]
            config = getattr(importlib.import_module(module), class_name)()
            config.init(name, str(Path(self.app_dir) / "model"), self.conf, None, serving=serving)
            infers[name] = config.infer()
            self._tasks[name] = config.trainer()
        self.rescoring = Rescoring(self.store, features, list(infers), rescored)
        return infers

    def init_trainers(self) -> dict[str, FineTune]:
        return self._tasks

    def init_strategies(self) -> dict[str, Strategy]:
        lease_s, share = server_config().lease_s, server_config().random_share
        self.pools = Pools(self.store)
        ranked = {name: RankedStudy(name, self.store, self.pools, lease_s, share) for name in STRATEGIES if name != "random"}
        return {**ranked, "random": RandomStudy(self.store, lease_s), "first": FirstStudy(self.store, lease_s)}

    def on_init_complete(self) -> None:
        logging.getLogger("timeloop").disabled = True  # it sets its own level and handler and greets four times
        # Here and not in init_datastore, which a training process calls too.
        self.datastore().remove_incoming()
        self.datastore().folder.start()
        if self._infers:
            self.pools.warm(self.default_model())
        super().on_init_complete()

    def _content(self, images: Images) -> str:
        """The hash of images; the datastore remembers those of its studies and hashes only what has changed."""
        if images.listed:
            return self.datastore().content(images.study, images.series_uid)
        return content_sha256(images.path, images.series_uid)

    def infer_task(self, model: str) -> HeadCT:
        """The task of a model. Raises NotFound `unknown_model`."""
        try:
            return self._infers[model]
        except KeyError:
            raise NotFound("unknown_model", f"There is no model {model!r}; there are {', '.join(self._infers)}.", field="model") from None

    def default_model(self) -> str:
        """The model that ranks studies where a request names none: the first that is served."""
        return next(iter(self._infers))

    def infer_tasks(self) -> dict[str, HeadCT]:
        """All tasks by the name of their model."""
        return dict(self._infers)

    def strategies(self) -> set[str]:
        """Names of the strategies that choose the next study."""
        return set(self._strategies)

    def infer(self, request: dict, datastore: HeadCTDatastore | None = None) -> dict:
        """MONAI Label's call with a study id. The original would also read any file of this machine that is named."""
        study = request["image"]
        path = (datastore or self.datastore()).get_image_uri(study)
        file, prediction = self.infer_task(request.get("model", ""))({"image": path, "study": study})
        return {"label": None, "tag": "", "file": file, "params": prediction}

    def session(self, session_id: str, update_ts: bool = True) -> SessionInfo:
        """A session, `image` is its volume; `update_ts` puts off its end. Raises NotFound `unknown_session`."""
        try:
            session = self.sessions().get_session(checked_session(session_id), update_ts)
        except ValueError:
            session = None  # half written when a server was killed
        if session is None:
            raise NotFound("unknown_session", "There is no such session, or it has expired.", field="session_id")
        return session

    def cleanup_sessions(self) -> None:
        """Removes expired sessions, and what a killed server left half written, on which the original fails."""
        folder = Path(self.sessions().store_path)
        for path in list(folder.iterdir()) if folder.is_dir() else ():
            try:
                expires = path.stat().st_mtime + self.sessions().expiry
                session = self.sessions().get_session(path.name, update_ts=False, fetch_cache=False)
                if session is not None:
                    expires = session.last_access_ts + session.expiry
            except ValueError:
                pass  # half written; it may be an upload that has just begun, so it lives as long as any other
            except OSError:
                continue  # removed meanwhile
            if expires < time.time():
                self.sessions().remove_session(path.name)
