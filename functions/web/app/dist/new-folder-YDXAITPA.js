import{w as o}from"/app/chunk-ZRDFW7JH.js";import"/app/chunk-M7SDJEMW.js";export{o as askNewFolder};
